import { type SoftmaxPlanOptions, planSoftmax } from '@paella/kernels';
import { record } from '../autograd/graph.js';
import type { Tensor } from '../tensor.js';
import { checkDType, resolveAxis } from './check.js';
import { aroundAxis } from './reduce.js';

export interface SoftmaxOptions {
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: SoftmaxPlanOptions['force'];
}

/**
 * `exp(x) / Σ exp(x)` along an axis, computed from differences to the largest element. Mask with large finite
 * values such as -3e38: infinities are not safe in WGSL.
 *
 * @param x f32 of any shape
 * @returns the shape of `x`
 */
export function softmax(x: Tensor, axis = -1, options: SoftmaxOptions = {}): Tensor {
  return run('softmax', x, axis, { ...options, log: false });
}

/**
 * `x − log Σ exp(x)` along an axis: the logarithm of {@link softmax}, without its underflow.
 *
 * @param x f32 of any shape
 * @returns the shape of `x`
 */
export function logSoftmax(x: Tensor, axis = -1, options: SoftmaxOptions = {}): Tensor {
  return run('logSoftmax', x, axis, { ...options, log: true });
}

function run(op: string, x: Tensor, axis: number, options: SoftmaxPlanOptions): Tensor {
  checkDType(op, 'f32', { input: x });
  const at = resolveAxis(op, axis, x.rank);
  const out = x.device.empty(x.shape);
  if (x.size > 0)
    x.device.run(planSoftmax(aroundAxis(x.shape, at), options, x.device.capabilities), [x, out]);
  return record(op, out, [x], [out], (grad, [y]) => {
    const total = (of: Tensor): Tensor => of.sum(at, { keepdim: true });
    return [options.log ? grad.sub(y.exp().mul(total(grad))) : y.mul(grad.sub(total(grad.mul(y))))];
  });
}
