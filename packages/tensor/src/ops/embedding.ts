import { type EmbeddingOptions, planEmbedding } from '@paella/kernels';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

/**
 * Rows of a table, by index.
 *
 * Indices are on the device and are not checked: one that is `n` or more gives the table's last row. No other
 * memory is read.
 *
 * @param indices u32 `[…]`
 * @param weight `[n,d]`
 * @returns `[…,d]`
 * @throws PaellaError `dtype` if the indices are not u32, `shape` if the table is not a matrix or has no rows
 */
export function embedding(
  indices: Tensor,
  weight: Tensor,
  { force }: Pick<EmbeddingOptions, 'force'> = {},
): Tensor {
  checkDType('embedding', 'u32', { indices });
  checkDType('embedding', 'f32', { weight });
  const [rows, dim] = weight.shape;
  checkShape(weight.rank === 2 && rows > 0, 'embedding', 'expects a table [n,d] of at least one row', {
    weight,
  });
  const { device } = indices;
  const out = device.empty([...indices.shape, dim]);
  const plan = planEmbedding({ count: indices.size, rows, dim }, { force }, device.capabilities);
  device.run(plan, [indices, weight, out]);
  return out;
}
