import { planWhere } from '@paella/kernels';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

/**
 * Takes elements of `x` where the condition is not 0, and of `other` elsewhere.
 *
 * @param condition, x, other u32 of one shape
 * @returns u32 of that shape
 */
export function where(condition: Tensor, x: Tensor, other: Tensor): Tensor {
  const operands = { condition, x, other };
  checkDType('where', 'u32', operands);
  const shape = x.shape.join();
  checkShape(
    Object.values(operands).every((one) => one.shape.join() === shape),
    'where',
    'expects three tensors of one shape',
    operands,
  );
  const out = x.device.empty(x.shape, 'u32');
  if (x.size > 0) x.device.run(planWhere(x.size, x.device.capabilities), [condition, x, other, out]);
  return out;
}
