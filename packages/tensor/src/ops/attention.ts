import { type AttentionPlanOptions, MAX_HEAD_SIZE, type RowsView, planAttention } from '@paella/kernels';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

/**
 * Columns `start … start + width` of every row of a packed projection: how queries, keys and values are told
 * apart that one matmul computed into one tensor.
 */
export interface Rows {
  /** `[B,N,W]` */
  readonly tensor: Tensor;
  readonly start: number;
  readonly width: number;
}

/**
 * Cuts the last dimension of a packed projection into equal parts, without copying.
 *
 * @param packed `[B,N,parts·C]`
 * @returns `parts` views of C columns
 * @throws PaellaError `shape` if the last dimension does not divide
 */
export function splitRows(packed: Tensor, parts: number): Rows[] {
  const width = packed.shape[packed.rank - 1] / parts;
  checkShape(packed.rank === 3 && Number.isInteger(width), 'splitRows', `expects [B,N,${parts}·C]`, {
    packed,
  });
  return Array.from({ length: parts }, (_, i) => ({ tensor: packed, start: i * width, width }));
}

export interface AttentionOptions {
  heads: number;
  /** Multiplies the products of queries and keys; 1/√(head size) by default, 1 in T5. */
  scale?: number;
  /** More keys and values, after the first ones: `[B,S,C]`, or `[1,S,C]` for all of the batch. */
  extra?: { k: Tensor | Rows; v: Tensor | Rows };
  /**
   * Added to the scaled products: `[B,heads,N,M]` with M = own + extra keys, any of the first three 1, and M 1.
   * A mask is 0 for what counts and −3e38 for what does not.
   */
  bias?: Tensor | null;
  /** Multiplies columns of the softmax, which is not normalised again: `[B,M]`, `[1,M]` or `[M]`. */
  keyWeights?: Tensor | null;
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: AttentionPlanOptions['force'];
}

/**
 * Multi-head attention without its projections: `softmax(scale · q·kᵀ + bias) · weights · v` for each head,
 * with an online softmax, so that no matrix of scores is stored.
 *
 * @param q `[B,N,C]`, heads side by side in the last dimension; a tensor, or columns of one ({@link splitRows})
 * @param k, v `[B,M,C]`, or `[1,M,C]` for all of the batch
 * @returns `[B,N,C]`
 * @throws PaellaError `shape` if the operands do not fit together; `unsupported` for heads over 128 wide
 */
export function attention(
  q: Tensor | Rows,
  k: Tensor | Rows,
  v: Tensor | Rows,
  options: AttentionOptions,
): Tensor {
  const { heads, extra, bias = null, keyWeights = null, force } = options;
  const rows = { q: rowsOf(q), k: rowsOf(k), v: rowsOf(v) };
  const more = extra ? { k2: rowsOf(extra.k), v2: rowsOf(extra.v) } : null;
  const all = { ...rows, ...more };
  const operands = {
    ...Object.fromEntries(Object.entries(all).map(([name, { tensor }]) => [name, tensor])),
    bias,
    keyWeights,
  };
  checkDType('attention', 'f32', operands);
  const check = (ok: boolean, expected: string) => checkShape(ok, 'attention', expected, operands);

  const channels = rows.q.width;
  const inside = ({ tensor, start, width }: Rows) =>
    tensor.rank === 3 && start >= 0 && start + width <= tensor.shape[2];
  check(
    Object.values(all).every((one) => inside(one) && one.width === channels),
    `expects rows [B,N,C] of ${channels} columns`,
  );
  check(
    Number.isInteger(heads) && heads > 0 && channels % heads === 0,
    `expects ${heads} heads to divide ${channels}`,
  );
  const headSize = channels / heads;
  if (headSize > MAX_HEAD_SIZE) {
    throw new PaellaError(
      'unsupported',
      `attention: heads are ${headSize} wide, ${MAX_HEAD_SIZE} is the most`,
      {
        fix: 'Use more heads.',
      },
    );
  }
  const [batch, queries] = rows.q.tensor.shape;
  const keys = rows.k.tensor.shape[1];
  const extraKeys = more ? more.k2.tensor.shape[1] : 0;
  const total = keys + extraKeys;
  check(
    rows.v.tensor.shape[1] === keys && (!more || more.v2.tensor.shape[1] === extraKeys) && total > 0,
    'expects as many values as keys, at least one',
  );
  const fits = ({ tensor }: Rows) => tensor.shape[0] === batch || tensor.shape[0] === 1;
  check(Object.values(all).every(fits), `expects a batch of ${batch}, or of 1`);

  const scores = [batch, heads, queries, total];
  check(
    !bias || (bias.rank === 4 && bias.shape.every((length, i) => length === 1 || length === scores[i])),
    `expects a bias that broadcasts to [${scores.join(',')}]`,
  );
  const weightRows = keyWeights?.rank === 2 ? keyWeights.shape[0] : 1;
  check(
    !keyWeights || (keyWeights.size === weightRows * total && (weightRows === 1 || weightRows === batch)),
    `expects key weights [${batch},${total}] or [1,${total}]`,
  );

  const { device } = rows.q.tensor;
  const out = device.empty([batch, queries, channels]);
  if (out.size === 0) return out;
  const plan = planAttention(
    { batch, heads, headSize, queries, keys, extra: extraKeys },
    {
      scale: options.scale ?? 1 / Math.sqrt(headSize),
      q: viewOf(rows.q),
      k: viewOf(rows.k),
      v: viewOf(rows.v),
      k2: more && viewOf(more.k2),
      v2: more && viewOf(more.v2),
      biasStrides: bias && stridesOf(bias),
      weightsStride: keyWeights && (weightRows === 1 ? 0 : total),
      force,
    },
    device.capabilities,
  );
  device.run(plan, [
    rows.q.tensor,
    rows.k.tensor,
    rows.v.tensor,
    more?.k2.tensor ?? null,
    more?.v2.tensor ?? null,
    bias,
    keyWeights,
    out,
  ]);
  return out;
}

function rowsOf(value: Tensor | Rows): Rows {
  return 'tensor' in value ? value : { tensor: value, start: 0, width: value.shape[value.rank - 1] };
}

function viewOf({ tensor, start }: Rows): RowsView {
  const [batch, rows, width] = tensor.shape;
  return { start, row: width, batch: batch === 1 ? 0 : rows * width };
}

/** Row-major strides, 0 along dimensions of length 1. */
function stridesOf({ shape }: Tensor): number[] {
  let stride = 1;
  return shape
    .map((_, i) => shape[shape.length - 1 - i])
    .map((length) => {
      const own = length === 1 ? 0 : stride;
      stride *= length;
      return own;
    })
    .reverse();
}
