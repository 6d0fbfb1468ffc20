import { type Capabilities, type Kernel, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import linear from '../shared/linear.wgsl';
import rank4 from '../shared/rank4.wgsl';
import subgroupTile from '../shared/subgroup_tile.wgsl';
import subgroups from '../shared/subgroups.wgsl';
import biasSource from './grad_bias_naive.wgsl';
import deltaSource from './grad_delta.wgsl';
import cells from './grad_cells.wgsl';
import keyBlocks from './grad_key.wgsl';
import keySubgroup from './grad_key_subgroup.wgsl';
import keySource from './grad_key_naive.wgsl';
import operands from './grad_operands.wgsl';
import pair from './grad_pair.wgsl';
import queryBlocks from './grad_query.wgsl';
import querySubgroup from './grad_query_subgroup.wgsl';
import querySource from './grad_query_naive.wgsl';
import slopes from './grad_slopes.wgsl';
import tile from './grad_tile.wgsl';
import NUMBERS from './lanes1.wgsl';
import VEC4S from './lanes4.wgsl';
import mask from './mask.wgsl';
import {
  type AttentionPlanOptions,
  type AttentionShape,
  type AttentionVariant,
  type RowsView,
  chooseVariant,
  subgroupConstants,
  viewIn,
} from './plan.js';

const delta = defineKernel('attention_grad_delta', linear, deltaSource);
const shared = [VEC4S, rank4, operands, mask, tile];
const queryParts = [...shared, slopes];
const keyParts = [...shared, cells];
const query = {
  blocks: defineKernel('attention_grad_query', ...queryParts, queryBlocks),
  subgroup: defineKernel(
    'attention_grad_query_subgroup',
    subgroups,
    ...queryParts,
    subgroupTile,
    querySubgroup,
  ),
  simple: defineKernel('attention_grad_query_simple', VEC4S, operands, mask, pair, querySource),
  naive: defineKernel('attention_grad_query_naive', NUMBERS, operands, mask, pair, querySource),
};
const key = {
  blocks: defineKernel('attention_grad_key', ...keyParts, keyBlocks),
  subgroup: defineKernel('attention_grad_key_subgroup', subgroups, ...keyParts, subgroupTile, keySubgroup),
  simple: defineKernel('attention_grad_key_simple', VEC4S, operands, mask, pair, keySource),
  naive: defineKernel('attention_grad_key_naive', NUMBERS, operands, mask, pair, keySource),
};
const bias = defineKernel('attention_grad_bias', linear, NUMBERS, operands, mask, pair, biasSource);

const NOWHERE: RowsView = { start: 0, row: 0, batch: 0 };

/** Gradients with respect to one of the two pairs of keys and values. */
export interface AttentionGradPlanOptions extends Pick<
  AttentionPlanOptions,
  'scale' | 'q' | 'k' | 'v' | 'biasStrides' | 'weightsStride' | 'dropout' | 'force'
> {
  /** How many keys come before this pair's. */
  firstKey: number;
  /** Add to what is there: the second pair's part of a gradient. */
  accumulate?: boolean;
}

/** The keys of one pair are `keys`; `extra` is 0. */
type Shape = AttentionShape;

/** Operands: the result with what `keepStats` left behind it, its gradient, statistics `[batch,queries,heads,4]`. */
export function planAttentionDelta({ batch, heads, headSize, queries }: Shape, caps: Capabilities): Launch {
  const WG = 64;
  const rows = batch * queries * heads;
  return launch(delta, {
    constants: { WG },
    params: { rows, d: headSize },
    workgroups: linearGrid(rows, WG, caps),
    cost: { flops: 2 * rows * headSize, bytes: 8 * rows * headSize },
  });
}

/**
 * The gradient of the queries.
 *
 * @param dq where it goes
 *
 * Operands: q, k, v, bias or null, weights or null, gradient of the result, statistics, out.
 */
export function planAttentionQueryGrad(
  shape: Shape,
  dq: RowsView,
  options: AttentionGradPlanOptions,
  caps: Capabilities,
): Launch {
  return planRows(query, shape.queries, 3, shape, dq, NOWHERE, options, caps);
}

/**
 * The gradients of keys and values, for each entry of the batch even where they are shared.
 *
 * @param dk, dv where they go, in one buffer
 *
 * Operands: as {@link planAttentionQueryGrad}.
 */
export function planAttentionKeyGrad(
  shape: Shape,
  dk: RowsView,
  dv: RowsView,
  options: AttentionGradPlanOptions,
  caps: Capabilities,
): Launch {
  return planRows(key, shape.keys, 4, shape, dk, dv, options, caps);
}

/**
 * The gradient of the bias.
 *
 * @param lengths of the bias's dimensions before that of keys, each full or 1
 *
 * Operands: as {@link planAttentionQueryGrad}.
 */
export function planAttentionBiasGrad(
  shape: Shape,
  lengths: readonly number[],
  options: AttentionGradPlanOptions,
  caps: Capabilities,
): Launch {
  const WG = 64;
  const size = lengths.reduce((product, length) => product * length, shape.keys);
  return launch(bias, {
    constants: { WG, ...operandsOf(options) },
    params: {
      ...paramsOf(shape, options, 1),
      a_view: lengths,
      b_view: [0, 0, 0],
    },
    workgroups: linearGrid(size, WG, caps),
    cost: costOf(shape, 2),
  });
}

function planRows(
  kernels: Record<AttentionVariant, Kernel>,
  rows: number,
  products: number,
  shape: Shape,
  a: RowsView,
  b: RowsView,
  options: AttentionGradPlanOptions,
  caps: Capabilities,
): Launch {
  const { q, k, v } = options;
  const variant = options.force ?? chooseVariant('attention gradient', shape, [q, k, v, a, b], caps);
  const lanes = variant === 'naive' ? 1 : 4;
  // 16 rows to a workgroup; in blocks, an invocation for each tile, and 4 for each vec4 of a head.
  const blocks = variant === 'blocks' ? Math.max(64, shape.headSize) : 16;
  const constants = variant === 'subgroup' ? subgroupConstants(caps) : { WG: blocks };
  return launch(kernels[variant], {
    constants: { ...constants, ...operandsOf(options) },
    params: { ...paramsOf(shape, options, lanes), a_view: viewIn(lanes, a), b_view: viewIn(lanes, b) },
    workgroups: [Math.ceil(rows / 16), shape.heads, shape.batch],
    cost: costOf(shape, products),
  });
}

function operandsOf({ biasStrides, weightsStride, dropout }: AttentionGradPlanOptions) {
  return {
    HAS_BIAS: biasStrides !== null,
    HAS_WEIGHTS: weightsStride !== null,
    HAS_DROPOUT: Boolean(dropout),
  };
}

function paramsOf(
  { batch, heads, headSize, queries, keys }: Shape,
  options: AttentionGradPlanOptions,
  lanes: number,
) {
  const { scale, q, k, v, biasStrides, weightsStride, firstKey, dropout, accumulate = false } = options;
  return {
    batches: batch,
    queries,
    keys,
    heads,
    d: headSize / lanes,
    first_key: firstKey,
    scale,
    weights_stride: weightsStride ?? 0,
    mask_row: dropout?.row ?? 0,
    mask_start: dropout && firstKey > 0 ? dropout.extra : 0,
    keep_scale: dropout ? 1 / (1 - dropout.p) : 1,
    accumulate: Number(accumulate),
    q_view: viewIn(lanes, q),
    k_view: viewIn(lanes, k),
    v_view: viewIn(lanes, v),
    bias_strides: biasStrides ?? [0, 0, 0, 0],
  };
}

function costOf({ batch, heads, headSize, queries, keys }: Shape, products: number) {
  return {
    flops: 2 * products * batch * heads * queries * keys * headSize,
    bytes: 12 * batch * heads * (queries + keys) * headSize,
  };
}
