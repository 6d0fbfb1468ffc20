import { planTimestepEmbedding } from '@paella/kernels';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

/**
 * Sinusoidal embedding of a noise level or time step: `sin(r·scale·f)`, then `cos(r·scale·f)`, then a zero
 * if the width is odd. Accurate for arguments up to 10,000 radians.
 *
 * @param r `[B]`
 * @param frequencies `[⌊width/2⌋]`
 * @returns `[B,width]`
 */
export function timestepEmbedding(
  r: Tensor,
  frequencies: Tensor,
  { width, scale }: { width: number; scale: number },
): Tensor {
  const operands = { r, frequencies };
  checkDType('timestepEmbedding', 'f32', operands);
  const fits = r.rank === 1 && frequencies.size === Math.floor(width / 2);
  checkShape(fits, 'timestepEmbedding', `expects r [B] and ${Math.floor(width / 2)} frequencies`, operands);
  const out = r.device.empty([r.shape[0], width]);
  r.device.run(planTimestepEmbedding(r.shape[0], width, scale, r.device.capabilities), [r, frequencies, out]);
  return out;
}
