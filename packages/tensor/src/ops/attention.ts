import {
  type AttentionGradPlanOptions,
  type AttentionPlanOptions,
  type AttentionShape,
  MAX_HEAD_SIZE,
  type RowsView,
  STATS_WORDS,
  planAttention,
  planAttentionBiasGrad,
  planAttentionDelta,
  planAttentionKeyGrad,
  planAttentionMask,
  attentionMask,
  planAttentionQueryGrad,
} from '@paella/kernels';
import { needsGrad, record } from '../autograd/graph.js';
import type { Device } from '../device/device.js';
import { sizeOf } from '../dtype.js';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import type { Rng } from '../random/rng.js';
import { checkDType, checkShape } from './check.js';
import { cat, expand } from './layout.js';

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
  /**
   * Training drops probabilities after the softmax, as PyTorch's `MultiheadAttention`: each is 0 with probability p,
   * else scaled by 1/(1 − p). `rng` gives one draw, kept as one bit a probability; it may draw by entries of the batch.
   * Not together with key weights.
   */
  dropout?: { p: number; rng: Rng } | null;
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

  if (keyWeights?.requiresGrad) {
    throw new PaellaError('unsupported', 'attention: key weights have no gradient', {
      fix: 'Use detach(), or add the logarithm of the weights as a bias.',
    });
  }

  const p = options.dropout?.p ?? 0;
  if (!(p >= 0 && p < 1)) throw new PaellaError('argument', `attention: dropout must be in [0,1), got ${p}`);
  if (p > 0 && keyWeights) {
    throw new PaellaError('unsupported', 'attention: dropout does not go together with key weights', {
      fix: 'Weight keys in evaluation only.',
    });
  }

  const { device } = rows.q.tensor;
  const sources = [...new Set(Object.values(all).map(({ tensor }) => tensor))];
  const at = (one: Rows): Operand => operandOf(one, sources);
  const keepStats = needsGrad(...sources, bias);
  const resultShape = [batch, queries, channels];
  const size = sizeOf(resultShape);
  if (size === 0) return device.empty(resultShape);
  // The statistics lie behind the result, since the kernel has no binding left for them.
  const whole = device.empty([size + (keepStats ? batch * queries * heads * STATS_WORDS : 0)]);
  const out = device.view(whole, resultShape);
  whole.dispose();
  const shape = { batch, heads, headSize, queries, keys, extra: extraKeys };
  const scaling = {
    scale: options.scale ?? 1 / Math.sqrt(headSize),
    q: viewOf(at(rows.q)),
    biasStrides: bias && stridesOf(bias),
    dropout: options.dropout && p > 0 ? attentionMask(p, shape) : null,
    weightsStride: keyWeights && (weightRows === 1 ? 0 : total),
    force,
  };
  const mask = scaling.dropout && device.empty([scaling.dropout.words], 'u32');
  if (mask) {
    const stream = options.dropout!.rng.nextOf([batch]);
    device.run(planAttentionMask(scaling.dropout!, stream, device.capabilities), [mask]);
  }
  const factors = keyWeights ?? mask;
  const plan = planAttention(
    shape,
    {
      ...scaling,
      k: viewOf(at(rows.k)),
      v: viewOf(at(rows.v)),
      k2: more && viewOf(at(more.k2)),
      v2: more && viewOf(at(more.v2)),
      keepStats,
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
    factors,
    out,
  ]);
  const call: Call = {
    shape,
    scaling,
    q: at(rows.q),
    pairs: [rows, ...(more ? [{ k: more.k2, v: more.v2 }] : [])].map((pair, i) => ({
      k: at(pair.k),
      v: at(pair.v),
      firstKey: i * keys,
    })),
    sources: sources.map((source) => source.shape),
    bias: bias && bias.shape,
  };
  const optional = [bias, factors].filter((tensor) => tensor !== null);
  const result = record(
    'attention',
    out,
    [...sources, bias],
    [out, ...sources, ...optional],
    (grad, saved, needs) => gradients(call, grad, saved, needs),
  );
  mask?.dispose();
  return result;
}

/** {@link Rows} of one of the tensors behind a call. */
interface Operand {
  source: number;
  shape: readonly number[];
  start: number;
  width: number;
}

/** What a gradient has to know about a call, apart from values. */
interface Call {
  shape: AttentionShape;
  scaling: Pick<
    AttentionGradPlanOptions,
    'scale' | 'q' | 'biasStrides' | 'weightsStride' | 'dropout' | 'force'
  >;
  q: Operand;
  pairs: { k: Operand; v: Operand; firstKey: number }[];
  /** Shapes of the tensors behind the operands. */
  sources: (readonly number[])[];
  bias: readonly number[] | null;
}

/**
 * @param saved the result with its statistics, the sources, the bias, and the key weights or dropout's mask, if there are any
 * @returns gradients of the sources and the bias
 */
function gradients(
  call: Call,
  grad: Tensor,
  [out, ...saved]: readonly Tensor[],
  needs: readonly boolean[],
): (Tensor | null)[] {
  const { shape, scaling, q, sources } = call;
  const { batch, heads, queries } = shape;
  const { device } = grad;
  const { capabilities } = device;
  const channels = heads * shape.headSize;
  const count = sources.length;
  const optional = saved.slice(count);
  const bias = call.bias && optional[0];
  const factors = optional[call.bias ? 1 : 0] ?? null;
  const stats = device.empty([batch, queries, heads, STATS_WORDS]);
  device.run(planAttentionDelta(shape, capabilities), [out, grad, stats]);

  const pairs = call.pairs
    .map(({ k, v, firstKey }) => ({
      k,
      v,
      shape: { ...shape, keys: k.shape[1], extra: 0 },
      options: { ...scaling, k: viewOf(k), v: viewOf(v), firstKey },
      operands: [saved[q.source], saved[k.source], saved[v.source], bias, factors, grad, stats],
    }))
    .filter((pair) => pair.shape.keys > 0);

  // Columns of one tensor are written where they belong; other gradients are made one by one and then joined.
  const targets = sources.map((_, i) => (needs[i] && isPacked(call, i) ? canvas(call, i, device) : null));
  const pieces: { operand: Operand; value: Tensor }[] = [];
  const dense = (rows: number): RowsView => ({ start: 0, row: channels, batch: rows * channels });

  if (needs[q.source]) {
    const target = targets[q.source];
    const dq = target ?? device.empty([batch, queries, channels]);
    pairs.forEach((pair, i) => {
      const options = { ...pair.options, accumulate: i > 0 };
      const view = target ? viewOf(q) : dense(queries);
      device.run(planAttentionQueryGrad(pair.shape, view, options, capabilities), [...pair.operands, dq]);
    });
    if (!target) pieces.push({ operand: q, value: dq });
  }

  for (const { k, v, operands, options, shape: own } of pairs) {
    if (!needs[k.source] && !needs[v.source]) continue;
    const run = (dk: RowsView, dv: RowsView, to: Tensor): void =>
      device.run(planAttentionKeyGrad(own, dk, dv, options, capabilities), [...operands, to]);
    const target = targets[k.source];
    if (target) {
      run(viewOf(k), viewOf(v), target);
      continue;
    }
    const gradShape = [batch, own.keys, channels];
    const second = Math.ceil(sizeOf(gradShape) / device.partAlignment) * device.partAlignment;
    const both = device.empty([second + sizeOf(gradShape)]);
    const view = dense(own.keys);
    run(view, { ...view, start: second }, both);
    pieces.push(
      { operand: k, value: device.view(both, gradShape) },
      { operand: v, value: device.part(both, second, gradShape) },
    );
  }

  const joined = sources.map((source, i) => {
    if (targets[i] || !needs[i]) return targets[i];
    const own = pieces.filter(({ operand }) => operand.source === i);
    const wide = own.map(({ operand, value }) => widen(operand, value));
    return wide.length > 0 ? wide.reduce((sum, one) => sum.add(one)) : zeros(device, source);
  });
  if (!bias || !needs[count]) return [...joined, null];

  const [b, h, n, m] = bias.shape;
  // The softmax does not see what all keys have in common.
  if (m === 1) return [...joined, zeros(device, bias.shape)];
  const dBias = device.empty(bias.shape);
  for (const pair of pairs) {
    const plan = planAttentionBiasGrad(pair.shape, [b, h, n], pair.options, capabilities);
    device.run(plan, [...pair.operands, dBias]);
  }
  return [...joined, dBias];
}

/** Whether kernels can write to the gradient of a source: one part of it an operand, keys together with values. */
function isPacked({ shape, q, pairs, sources }: Call, source: number): boolean {
  const own = operandsIn({ q, pairs }, source);
  const apart = own.every(({ start }, i) => i === 0 || own[i - 1].start + own[i - 1].width <= start);
  const together = pairs.every(({ k, v }) => (k.source === source) === (v.source === source));
  return apart && together && sources[source][0] === shape.batch;
}

/** Memory for the gradient of a source, 0 where no operand lies. */
function canvas(call: Call, source: number, device: Device): Tensor {
  const shape = call.sources[source];
  const used = operandsIn(call, source).reduce((sum, { width }) => sum + width, 0);
  return used === shape[2] ? device.empty(shape) : zeros(device, shape);
}

/** From left to right. */
function operandsIn({ q, pairs }: Pick<Call, 'q' | 'pairs'>, source: number): Operand[] {
  const all = [q, ...pairs.flatMap(({ k, v }) => [k, v])];
  return all.filter((operand) => operand.source === source).sort((a, b) => a.start - b.start);
}

/** The gradient of an operand's tensor from that of its columns, which each batch entry has its own of. */
function widen({ shape, start, width }: Operand, value: Tensor): Tensor {
  const [batch, rows, columns] = shape;
  const own = batch === value.shape[0] ? value : value.sum(0, { keepdim: true });
  if (width === columns) return own;
  const gap = (count: number): Tensor[] => (count > 0 ? [value.device.zeros([batch, rows, count])] : []);
  return cat([...gap(start), own, ...gap(columns - start - width)]);
}

/** Zeros that need no upload of their size. */
function zeros(device: Device, shape: readonly number[]): Tensor {
  return expand(device.zeros([1]), shape);
}

function operandOf({ tensor, start, width }: Rows, sources: readonly Tensor[]): Operand {
  return { source: sources.indexOf(tensor), shape: tensor.shape, start, width };
}

function rowsOf(value: Tensor | Rows): Rows {
  return 'tensor' in value ? value : { tensor: value, start: 0, width: value.shape[value.rank - 1] };
}

function viewOf({ shape, start }: Pick<Operand, 'shape' | 'start'>): RowsView {
  const [batch, rows, width] = shape;
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
