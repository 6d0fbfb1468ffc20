import { type Capabilities, type Launch, choose, defineKernel, launch, linearGrid } from '../kernel.js';
import byEntries from '../random/entries.wgsl';
import { type EntryStream, entryParams } from '../random/plan.js';
import threefry from '../random/threefry.wgsl';
import linear from '../shared/linear.wgsl';
import rank4 from '../shared/rank4.wgsl';
import subgroupTile from '../shared/subgroup_tile.wgsl';
import { hasEqualSubgroups } from '../shared/subgroups.js';
import subgroups from '../shared/subgroups.wgsl';
import naiveSource from './attention_naive.wgsl';
import subgroupSource from './attention_subgroup.wgsl';
import blockSource from './attention.wgsl';
import drawMaskSource from './draw_mask.wgsl';
import NUMBERS from './lanes1.wgsl';
import VEC4S from './lanes4.wgsl';
import mask from './mask.wgsl';
import operands from './operands.wgsl';
import scores from './scores.wgsl';

const shared = [VEC4S, operands, mask, scores];
const blocks = defineKernel('attention', ...shared, blockSource);
const tiled = [rank4, subgroupTile, subgroupSource];
const subgroup = defineKernel('attention_subgroup', subgroups, ...shared, ...tiled);
const simple = defineKernel('attention_simple', VEC4S, operands, mask, naiveSource);
const naive = defineKernel('attention_naive', NUMBERS, operands, mask, naiveSource);
const drawMask = defineKernel('attention_mask', linear, threefry, byEntries, drawMaskSource);
const kernels = { blocks, subgroup, simple, naive };

export type AttentionVariant = keyof typeof kernels;

/** Multiply-adds of a launch below which a software adapter would compile the larger kernel for longer than run it. */
const SMALL = 1 << 21;

/** Of a workgroup. */
const QUERIES = 16;

/** The largest head both kernels hold. */
export const MAX_HEAD_SIZE = 128;

/** The numbers kept for each query and head, where a gradient is wanted; two of them are padding. */
export const STATS_WORDS = 4;

/** Where the rows of an operand lie in its buffer, in elements. */
export interface RowsView {
  start: number;
  /** From one row to the next. */
  row: number;
  /** From one batch entry to the next; 0 where all share it. */
  batch: number;
}

export interface AttentionShape {
  batch: number;
  heads: number;
  headSize: number;
  queries: number;
  /** Rows of k and v. */
  keys: number;
  /** Rows of the second k and v, 0 without them. */
  extra: number;
}

export interface AttentionPlanOptions {
  scale: number;
  q: RowsView;
  k: RowsView;
  v: RowsView;
  k2: RowsView | null;
  v2: RowsView | null;
  /** Along batch, head, query and key, 0 where the bias repeats; null without a bias. */
  biasStrides: readonly number[] | null;
  /** From one batch entry's key weights to the next's; null without weights. */
  weightsStride: number | null;
  /** The dropout whose mask is in the place of weights. */
  dropout?: AttentionMask | null;
  /**
   * Behind the result, `out` has room for {@link STATS_WORDS} numbers a query and head, and gets there what
   * gradients need to compute the softmax again.
   */
  keepStats?: boolean;
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: AttentionVariant;
}

/** Where the mask of attention's dropout has the bits of a query, and what it does. */
export interface AttentionMask {
  /** The probability of dropping. */
  p: number;
  /** Bits from one query to the next. */
  row: number;
  /** The first bit of k2. */
  extra: number;
  /** Bits of all queries, batch entry by batch entry. */
  bits: number;
  /** The bits in words of 32. */
  words: number;
}

/** Four keys share a word, so both kinds of keys are filled up to whole fours. */
export function attentionMask(
  p: number,
  { batch, heads, queries, keys, extra }: AttentionShape,
): AttentionMask {
  const start = Math.ceil(keys / 4) * 4;
  const row = start + Math.ceil(extra / 4) * 4;
  const bits = batch * heads * queries * row;
  return { p, row, extra: start, bits, words: Math.ceil(bits / 32) };
}

/** Draws a mask, by entries of the batch if `from` has them. Operands: out, u32 `[words]`. */
export function planAttentionMask(
  { p, bits, words }: AttentionMask,
  from: EntryStream,
  caps: Capabilities,
): Launch {
  const WG = 64;
  const { params, entry_size, ENTRIES } = entryParams(from, bits / 4);
  return launch(drawMask, {
    constants: { WG, ENTRIES },
    params: { words, p, ...params, entry_quads: entry_size },
    workgroups: linearGrid(words, WG, caps),
    cost: { flops: 0, bytes: 4 * words },
  });
}

const NOWHERE: RowsView = { start: 0, row: 0, batch: 0 };

/** Operands: q, k, v, k2 or null, v2 or null, bias or null, weights or null, out. */
export function planAttention(
  shape: AttentionShape,
  options: AttentionPlanOptions,
  caps: Capabilities,
): Launch {
  const { batch, heads, headSize, queries, keys, extra } = shape;
  const { q, k, v, k2, v2, biasStrides, weightsStride } = options;
  const views = { q_view: q, k_view: k, v_view: v, k2_view: k2 ?? NOWHERE, v2_view: v2 ?? NOWHERE };
  const pairs = queries * (keys + extra);
  const variant = options.force ?? chooseVariant('attention', shape, Object.values(views), caps);
  const lanes = variant === 'naive' ? 1 : 4;
  // In blocks, there are 4 invocations for each vec4 of a head.
  const WG = variant === 'blocks' ? headSize : 16;
  return launch(kernels[variant], {
    constants: {
      ...(variant === 'subgroup' ? { ...subgroupConstants(caps), D4: headSize / 4 } : { WG }),
      HAS_EXTRA: extra > 0,
      HAS_BIAS: biasStrides !== null,
      HAS_WEIGHTS: weightsStride !== null,
      HAS_DROPOUT: Boolean(options.dropout),
    },
    params: {
      queries,
      keys,
      extra,
      heads,
      d: headSize / lanes,
      scale: options.scale,
      weights_stride: weightsStride ?? 0,
      mask_row: options.dropout?.row ?? 0,
      keep_scale: options.dropout ? 1 / (1 - options.dropout.p) : 1,
      stats_start: options.keepStats ? (batch * queries * heads * headSize) / lanes : 0,
      ...Object.fromEntries(Object.entries(views).map(([name, view]) => [name, viewIn(lanes, view)])),
      bias_strides: biasStrides ?? [0, 0, 0, 0],
    },
    workgroups: [Math.ceil(queries / QUERIES), heads, batch],
    cost: {
      flops: 4 * batch * heads * pairs * headSize,
      bytes: 8 * batch * heads * (queries + keys + extra) * headSize,
    },
  });
}

const BLOCKS = ['blocks'] as const;
const SUBGROUP = ['subgroup', 'blocks'] as const;

/** Which kernel computes attention, or a gradient of it. */
export function chooseVariant(
  family: string,
  shape: AttentionShape,
  views: readonly RowsView[],
  caps: Capabilities,
): AttentionVariant {
  const variant = variantFor(shape, views, caps);
  if (variant !== 'blocks') return variant;
  const { batch, heads, headSize, queries, keys, extra } = shape;
  const sizes = [batch * heads, headSize, queries, keys + extra];
  return choose(caps, family, sizes, hasEqualSubgroups(caps) ? SUBGROUP : BLOCKS);
}

/** Of a kernel whose workgroups are subgroups. */
export const subgroupConstants = ({ subgroupSize }: Capabilities) => ({
  WG: subgroupSize,
  SUBGROUP: subgroupSize,
});

/** By vec4s where rows allow it; in blocks, unless compiling that takes a software adapter longer than it saves. */
function variantFor(
  { batch, heads, headSize, queries, keys, extra }: AttentionShape,
  views: readonly RowsView[],
  caps: Capabilities,
): Exclude<AttentionVariant, 'subgroup'> {
  const aligned = views.every(({ start, row, batch: step }) => (start | row | step) % 4 === 0);
  if (headSize % 4 !== 0 || !aligned) return 'naive';
  const small = caps.isSoftware && 2 * batch * heads * queries * (keys + extra) * headSize < SMALL;
  return small ? 'simple' : 'blocks';
}

/** A view in elements of one or four numbers, as kernels take it. */
export function viewIn(lanes: number, { start, row, batch }: RowsView): number[] {
  return [start / lanes, row / lanes, batch / lanes];
}
