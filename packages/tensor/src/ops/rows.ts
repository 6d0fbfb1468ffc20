import { noGrad } from '../autograd/mode.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { cat } from './layout.js';

/** Bytes of what is computed for some rows that may exist at a time. */
const AT_A_TIME = 16 << 20;

/**
 * Computes something row by row whose intermediate results would be too large all at once, such as what needs the logits
 * of all positions. Records nothing to differentiate.
 *
 * @param x `[rows,…]`
 * @param rowBytes of the largest intermediate result of one row
 * @param compute for rows of `x` from `start` on
 * @param options.rowsAtATime for tests
 * @returns what `compute` returned, joined along the first dimension
 */
export function byRows(
  x: Tensor,
  rowBytes: number,
  compute: (some: Tensor, start: number) => Tensor,
  { rowsAtATime = Math.max(1, Math.floor(AT_A_TIME / rowBytes)) } = {},
): Tensor {
  const rows = x.shape[0];
  return noGrad(() =>
    scope(() => {
      if (rows <= rowsAtATime) return compute(x, 0);
      const parts: Tensor[] = [];
      for (let start = 0; start < rows; start += rowsAtATime) {
        parts.push(scope(() => compute(x.slice(0, start, start + rowsAtATime), start)));
      }
      return cat(parts, 0);
    }),
  );
}
