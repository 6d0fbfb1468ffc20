import { planDropout } from '@paella/kernels';
import { record } from '../autograd/graph.js';
import { PaellaError } from '../errors.js';
import type { Rng } from '../random/rng.js';
import type { Tensor } from '../tensor.js';
import { checkDType } from './check.js';

/**
 * Sets elements to zero with probability p, independently, and scales the others by 1/(1 − p) (arXiv 1207.0580).
 *
 * @param p in [0,1); with 0 the result is `x`
 * @param rng gives one draw, perhaps by entries of the first dimension: element i is kept where number i, uniform in
 *   [0,1), is at least p
 * @returns the shape of `x`
 */
export function dropout(x: Tensor, p: number, rng: Rng): Tensor {
  checkDType('dropout', 'f32', { input: x });
  if (!(p >= 0 && p < 1)) throw new PaellaError('argument', `dropout: p must be in [0,1), got ${p}`);
  if (p === 0) return x.reshape(x.shape);
  const { device } = x;
  const plan = planDropout(p, x.size, rng.nextOf(x.shape), device.capabilities);
  const run = (from: Tensor): Tensor => {
    const out = device.empty(from.shape);
    device.run(plan, [from, out]);
    return out;
  };
  return record('dropout', run(x), [x], [], (grad) => [run(grad)]);
}
