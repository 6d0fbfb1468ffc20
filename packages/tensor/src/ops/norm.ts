import { type NormPlanOptions, planRowNorm, planRowNormGrad } from '@paella/kernels';
import { record } from '../autograd/graph.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

export interface Forced {
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: NormPlanOptions['force'];
}

export interface LayerNormOptions extends Forced {
  /** One a channel, or one number for all channels. */
  weight?: Tensor | null;
  bias?: Tensor | null;
  eps?: number;
}

/**
 * Layer norm over the last dimension (arXiv 1607.06450): `(x − mean) / sqrt(variance + eps) · weight + bias`
 * with the biased variance, computed from differences to the mean.
 *
 * @param x `[…,C]`
 * @param options.weight, options.bias of C elements, or of one that serves all channels
 * @returns the shape of `x`
 */
export function layerNorm(x: Tensor, { weight, bias, eps = 1e-5, force }: LayerNormOptions = {}): Tensor {
  return rowNorm('layerNorm', x, weight ?? null, bias ?? null, { center: true, eps, force });
}

/**
 * RMS norm over the last dimension (arXiv 1910.07467): `x / sqrt(mean(x²) + eps) · weight`.
 *
 * @param x `[…,C]`
 * @param weight of C elements, or of one
 * @returns the shape of `x`
 */
export function rmsNorm(x: Tensor, weight: Tensor | null, eps = 1e-6, { force }: Forced = {}): Tensor {
  return rowNorm('rmsNorm', x, weight, null, { center: false, eps, force });
}

function rowNorm(
  op: string,
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  options: Forced & { center: boolean; eps: number },
): Tensor {
  const operands = { input: x, weight, bias };
  checkDType(op, 'f32', operands);
  checkShape(x.rank > 0, op, 'expects [...,C]', operands);
  const channels = x.shape[x.rank - 1];
  const fits = (tensor: Tensor | null) => !tensor || tensor.size === channels || tensor.size === 1;
  checkShape(
    fits(weight) && fits(bias),
    op,
    `expects weight and bias of ${channels} elements, or of 1`,
    operands,
  );
  const out = x.device.empty(x.shape);
  if (x.size === 0) return out;
  const counts = { weights: weight?.size ?? 0, biases: bias?.size ?? 0 };
  const plan = planRowNorm(x.size / channels, channels, { ...options, ...counts }, x.device.capabilities);
  x.device.run(plan, [x, weight, bias, out]);
  const saved = weight ? [x, weight] : [x];
  return record(op, out, [x, weight, bias], saved, (grad, [savedX, savedWeight = null], needs) => {
    const { device } = savedX;
    const dx = device.empty(x.shape);
    // Without it, something to bind: an absent operand cannot be written to.
    const product = device.empty(needs[1] ? x.shape : [1]);
    const gradPlan = planRowNormGrad(
      x.size / channels,
      channels,
      { ...options, weights: counts.weights, product: needs[1] },
      device.capabilities,
    );
    device.run(gradPlan, [savedX, savedWeight, grad, dx, product]);
    const toWeight = (terms: Tensor, of: Tensor): Tensor =>
      (of.size === channels ? terms.reshape([-1, channels]).sum(0) : terms.sum()).reshape(of.shape);
    return [dx, needs[1] ? toWeight(product, weight!) : null, needs[2] ? toWeight(grad, bias!) : null];
  });
}
