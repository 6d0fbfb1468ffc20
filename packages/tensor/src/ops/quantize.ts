import { type NearestOptions, planNearest } from '@paella/kernels';
import { record } from '../autograd/graph.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

/**
 * Vector quantisation: the index of the code nearest to every vector by squared Euclidean distance, the first
 * one where several are equally near (arXiv 1711.00937, eq. 1).
 *
 * @param z `[…,d]`
 * @param codebook `[K,d]`
 * @returns u32 `[…]`
 * @throws PaellaError `shape` if vectors and codes differ in length, or there is no code
 */
export function nearestCode(
  z: Tensor,
  codebook: Tensor,
  { force }: Pick<NearestOptions, 'force'> = {},
): Tensor {
  checkDType('nearestCode', 'f32', { z, codebook });
  const [count, dim] = codebook.shape;
  const fits = codebook.rank === 2 && count > 0 && z.rank > 0 && z.shape[z.rank - 1] === dim;
  checkShape(fits, 'nearestCode', 'expects vectors [...,d] and codes [K,d]', { z, codebook });
  const { device } = z;
  const shape = z.shape.slice(0, -1);
  const out = device.empty(shape, 'u32');
  device.run(planNearest({ rows: out.size, count, dim }, { force }, device.capabilities), [z, codebook, out]);
  return out;
}

/**
 * The straight-through estimator (arXiv 1308.3432): the values of `codes`, and the gradient of whatever was quantised
 * to them.
 *
 * @param codes what `z` was quantised to; gets no gradient
 * @param z of the same shape; gets the gradient of the result
 * @returns a view of `codes`
 */
export function straightThrough(codes: Tensor, z: Tensor): Tensor {
  checkDType('straightThrough', 'f32', { codes, z });
  const same = codes.rank === z.rank && codes.shape.every((length, i) => length === z.shape[i]);
  checkShape(same, 'straightThrough', 'expects two tensors of one shape', { codes, z });
  return record('straightThrough', codes.detach(), [z], [], (grad) => [grad]);
}
