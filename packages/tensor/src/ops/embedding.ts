import {
  type EmbeddingOptions,
  planEmbedding,
  planEmbeddingGrad,
  planEmbeddingGradNaive,
} from '@paella/kernels';
import { record } from '../autograd/graph.js';
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
  { force }: { force?: EmbeddingOptions['force'] | 'naive' } = {},
): Tensor {
  checkDType('embedding', 'u32', { indices });
  checkDType('embedding', 'f32', { weight });
  const [rows, dim] = weight.shape;
  checkShape(weight.rank === 2 && rows > 0, 'embedding', 'expects a table [n,d] of at least one row', {
    weight,
  });
  const { device } = indices;
  const out = device.empty([...indices.shape, dim]);
  const shape = { count: indices.size, rows, dim };
  const forward = { force: force === 'naive' ? ('scalar' as const) : force };
  device.run(planEmbedding(shape, forward, device.capabilities), [indices, weight, out]);
  return record('embedding', out, [weight], [indices], (grad, [saved]) => {
    // Without positions no chunk would write where its rows end.
    if (saved.size === 0) return [device.zeros([rows, dim])];
    const dWeight = device.empty([rows, dim]);
    if (force === 'naive') {
      device.run(planEmbeddingGradNaive(shape, device.capabilities), [saved, grad, dWeight]);
      return [dWeight];
    }
    const { sort, chunks, sum } = planEmbeddingGrad(shape, device.capabilities);
    const ends = device.empty([chunks, rows], 'u32');
    const order = device.empty([Math.max(1, saved.size)], 'u32');
    device.run(sort, [saved, ends, order]);
    device.run(sum, [grad, ends, order, dWeight]);
    return [dWeight];
  });
}

/**
 * Rows of a table that is larger than a buffer may be, and lies in several. It has no gradient.
 *
 * @param indices u32 `[…]`; one outside gives the last row of the last part
 * @param parts `[n,d]` each, at least one row; the first holds rows 0 to n − 1, the next goes on
 * @returns `[…,d]`
 * @throws PaellaError as {@link embedding}
 */
export function embeddingOfParts(indices: Tensor, parts: readonly Tensor[]): Tensor {
  checkDType('embedding', 'u32', { indices });
  const { device } = indices;
  const dim = parts[0].shape[1];
  const out = device.empty([...indices.shape, dim]);
  let first = 0;
  for (const [i, weight] of parts.entries()) {
    const [rows, width] = weight.shape;
    checkDType('embedding', 'f32', { weight });
    const fits = weight.rank === 2 && rows > 0 && width === dim && !weight.requiresGrad;
    checkShape(fits, 'embedding', `expects parts [n,${dim}] that require no gradient`, { weight });
    const part = { first, isLast: i === parts.length - 1 };
    const launch = planEmbedding({ count: indices.size, rows, dim }, { part }, device.capabilities);
    device.run(launch, [indices, weight, out]);
    first += rows;
  }
  return out;
}
