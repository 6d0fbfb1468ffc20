import { type Capabilities, type Launch, choose, defineKernel, launch, linearGrid } from '../kernel.js';
import { ACTIVATIONS, type Activation } from '../shared/activation.js';
import activation from '../shared/activation.wgsl';
import blockNN from '../shared/block_nn.wgsl';
import blockNT from '../shared/block_nt.wgsl';
import linear from '../shared/linear.wgsl';
import rank4 from '../shared/rank4.wgsl';
import subgroupTile from '../shared/subgroup_tile.wgsl';
import subgroups from '../shared/subgroups.wgsl';
import { hasEqualSubgroups, subgroupInvocations } from '../shared/subgroups.js';
import tile16 from '../shared/tile16.wgsl';
import tile8 from '../shared/tile8.wgsl';
import weightF16 from '../shared/weight_f16.wgsl';
import weightF32 from '../shared/weight_f32.wgsl';
import {
  type GpuMatmulOptions,
  type GpuMatmulVariant,
  gpuChunk,
  gpuMatmulVariants,
  planMatmulSum,
  planMatrixMatmul,
  planSharedMatmul,
} from './gpu_plan.js';
import epilogueSource from './epilogue.wgsl';
import naiveSource from './matmul_naive.wgsl';
import subgroupSource from './matmul_subgroup.wgsl';
import tileSource from './matmul.wgsl';
import tnSource from './matmul_tn.wgsl';
import tnSubgroupSource from './matmul_tn_subgroup.wgsl';
import tnOperands from './tn_operands.wgsl';

const weights = { f32: weightF32, f16: weightF16 };
const blocks = { nn: blockNN, nt: blockNT };

function defineTiles(order: 'nn' | 'nt', weight: 'f32' | 'f16') {
  const shared = [linear, activation, epilogueSource, weights[weight], rank4, blocks[order]];
  const name = `matmul_${order}_${weight}`;
  return {
    tile: defineKernel(name, ...shared, tile8, tileSource),
    subgroup: defineKernel(`${name}_subgroup`, subgroups, ...shared, subgroupTile, tile16, subgroupSource),
  };
}

const tiles = {
  nn: { f32: defineTiles('nn', 'f32'), f16: defineTiles('nn', 'f16') },
  nt: { f32: defineTiles('nt', 'f32'), f16: defineTiles('nt', 'f16') },
};
const tn = {
  tile: defineKernel('matmul_tn', linear, tnOperands, tnSource),
  subgroup: defineKernel(
    'matmul_tn_subgroup',
    subgroups,
    linear,
    rank4,
    subgroupTile,
    tnOperands,
    tnSubgroupSource,
  ),
};
const naive = defineKernel('matmul_naive', linear, activation, naiveSource);

export interface MatmulShape {
  batch: number;
  m: number;
  k: number;
  n: number;
  /** All entries of the batch multiply the same matrix. */
  sharedA?: boolean;
  sharedB?: boolean;
}

/**
 * `subgroup` and `tile` are for software adapters, with subgroups of one size and without; `tile` also for what GPUs' own
 * variants do not fit.
 */
export type MatmulVariant = 'naive' | 'tile' | 'subgroup' | GpuMatmulVariant;

export interface MatmulOptions {
  bias?: boolean;
  residual?: boolean;
  activation?: Activation;
  /** How b is stored; f16 needs k and n divisible by 4. */
  weight?: 'f32' | 'f16';
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: MatmulVariant;
}

export interface MatmulPlan {
  launch: Launch;
  /**
   * Where the contraction is cut: `launch` has no bias and no residual and writes `chunks` times `[batch,m,n]`, which
   * `sum` (operands: what it wrote, bias or null, residual or null, out) adds.
   */
  split?: { chunks: number; sum: Launch };
}

const NAIVE: readonly MatmulVariant[] = ['naive'];
const TILE: readonly MatmulVariant[] = ['tile'];
const SUBGROUP: readonly MatmulVariant[] = ['subgroup', 'tile'];
/** Rows of the smaller of two tiles: a product of no more would leave most of the other idle. */
const FEW_ROWS = 2;
const FEW: readonly MatmulVariant[] = ['tile', 'subgroup'];

/** What software adapters choose from. */
function softwareVariants({ m }: MatmulShape, caps: Capabilities): readonly MatmulVariant[] {
  if (!hasEqualSubgroups(caps)) return TILE;
  return m > FEW_ROWS ? SUBGROUP : FEW;
}

/** What a product may be computed by here, the planner's guess first. */
function variantsOf(
  shape: MatmulShape,
  options: GpuMatmulOptions,
  caps: Capabilities,
): readonly MatmulVariant[] {
  const { m, k, n } = shape;
  if (k % 4 !== 0 || n % 4 !== 0 || m * n === 0) return NAIVE;
  return caps.isSoftware
    ? softwareVariants(shape, caps)
    : [...gpuMatmulVariants(shape, options, caps), 'tile'];
}

/** Operands: a [m,k], b [k,n] or with `transposeB` [n,k], bias or null, residual or null, out [m,n]. */
export function planMatmul(
  shape: MatmulShape,
  options: MatmulOptions & { transposeB?: boolean },
  caps: Capabilities,
): MatmulPlan {
  const { batch, m, k, n } = shape;
  const { bias = false, residual = false, activation: kind = 'none', weight = 'f32' } = options;
  const { transposeB = false } = options;
  const epilogue = Number(bias) + 2 * Number(residual) + 4 * ACTIVATIONS[kind];
  const stored = { transposeB, weight, epilogue };
  const variant =
    options.force ??
    choose(
      caps,
      `matmul ${transposeB ? 'nt' : 'nn'} ${weight}`,
      [batch, m, k, n],
      variantsOf(shape, stored, caps),
    );
  if (variant === 'split') {
    const chunk = gpuChunk(shape);
    const chunks = Math.ceil(k / chunk);
    const product = planSharedMatmul(shape, { ...stored, chunk }, caps);
    if (chunks < 2) return { launch: product };
    return { launch: product, split: { chunks, sum: planMatmulSum(shape, chunks, epilogue, caps) } };
  }
  if (variant === 'matrix' && !transposeB) return { launch: planMatrixMatmul(shape, epilogue, caps) };
  if (variant === 'shared' || variant === 'tall' || variant === 'matrix') {
    return { launch: planSharedMatmul(shape, { ...stored, tall: variant === 'tall' }, caps) };
  }
  const vec4s = variant !== 'naive';
  const lanes = vec4s ? 4 : 1;
  const common = {
    a_stride: shape.sharedA ? 0 : (m * k) / lanes,
    b_stride: shape.sharedB ? 0 : (k * n) / lanes,
    epilogue: vec4s ? epilogue & 3 : epilogue,
  };
  const weightSize = (shape.sharedB ? 1 : batch) * k * n;
  const others = (shape.sharedA ? 1 : batch) * m * k + (residual ? 2 : 1) * batch * m * n + (bias ? n : 0);
  const [x, y] = linearGrid(vec4s ? invocations(variant, m, n, caps) : m * n, WG, caps);
  return {
    launch: launch(vec4s ? tiles[transposeB ? 'nt' : 'nn'][weight][variant] : naive, {
      constants: {
        ...tileConstants(variant, caps),
        ...(vec4s && { ACTIVATION: ACTIVATIONS[kind] }),
        ...(variant === 'tile' && { TILE_ROWS: m > FEW_ROWS ? 8 : FEW_ROWS }),
      },
      params: vec4s
        ? { m, k4: k / 4, n4: n / 4, b_row: (transposeB ? k : n) / 4, ...common }
        : { m, k, n, a_strides: [k, 1], b_strides: transposeB ? [1, k] : [n, 1], ...common },
      workgroups: [x, y, batch],
      cost: { flops: 2 * batch * m * k * n, bytes: 4 * others + (weight === 'f16' ? 2 : 4) * weightSize },
    }),
  };
}

const WG = 64;

/** One for 8 rows × 4 columns, or a subgroup's for 16 rows × 4 columns each. */
function invocations(variant: 'tile' | 'subgroup', m: number, n: number, caps: Capabilities): number {
  return variant === 'tile' ? Math.ceil(m / 8) * (n / 4) : subgroupInvocations(m, n / 4, caps);
}

function tileConstants(variant: MatmulVariant, { subgroupSize }: Capabilities): Record<string, number> {
  return variant === 'subgroup' ? { WG, SUBGROUP: subgroupSize } : { WG };
}

export interface MatmulTNOptions {
  /** Overrides the planner's choice, for tests and benchmarks; `split` is the planner's, which cuts in any case. */
  force?: MatmulVariant;
  /** Steps of the contraction in one sum. */
  chunk?: number;
}

function variantsTN(shape: MatmulShape, caps: Capabilities): readonly MatmulVariant[] {
  if (shape.m % 4 !== 0 || shape.n % 4 !== 0) return NAIVE;
  return caps.isSoftware
    ? softwareVariants(shape, caps)
    : [...gpuMatmulVariants(shape, { transposeA: true }, caps), 'tile'];
}

/** No sum is longer than this, for accuracy. */
const LONGEST_SUM = 4096;

/**
 * aᵀ·b. Operands: a [batch,k,m], b [batch,k,n], out [batch,chunks,m,n], whose chunks the caller adds.
 *
 * @returns the launch and the number of chunks
 */
export function planMatmulTN(
  { batch, m, k, n }: MatmulShape,
  options: MatmulTNOptions,
  caps: Capabilities,
): { launch: Launch; chunks: number } {
  const cost = { flops: 2 * batch * m * k * n, bytes: 4 * batch * (k * (m + n) + m * n) };
  const variant =
    options.force && options.force !== 'split'
      ? options.force
      : choose(caps, 'matmul tn', [batch, m, k, n], variantsTN({ batch, m, k, n }, caps));
  if (variant === 'naive') {
    const [x, y] = linearGrid(m * n, 64, caps);
    const strides = { a_stride: m * k, b_stride: k * n, a_strides: [1, m], b_strides: [n, 1] };
    const params = { m, k, n, ...strides, epilogue: 0 };
    return {
      launch: launch(naive, { constants: { WG: 64 }, params, workgroups: [x, y, batch], cost }),
      chunks: 1,
    };
  }
  if (variant !== 'tile' && variant !== 'subgroup') {
    const longest = Math.min(gpuChunk({ batch, m, k, n }), LONGEST_SUM);
    const chunk = options.chunk ?? longest;
    const product = planSharedMatmul(
      { batch, m, k, n },
      { transposeA: true, tall: variant === 'tall', chunk },
      caps,
    );
    return { launch: product, chunks: Math.ceil(k / chunk) };
  }
  const width = invocations(variant, m, n, caps);
  const busy = caps.isSoftware ? 512 : 32768;
  const wanted = Math.max(busy / (width * batch), k / LONGEST_SUM);
  const pieces = Math.ceil(Math.min(wanted, k / 64));
  const chunk = options.chunk ?? Math.ceil(k / Math.max(1, pieces));
  const chunks = Math.max(1, Math.ceil(k / chunk));
  const [x, y] = linearGrid(width, WG, caps);
  return {
    launch: launch(tn[variant], {
      constants: tileConstants(variant, caps),
      params: { m4: m / 4, n4: n / 4, k, chunk, chunks },
      workgroups: [x, y, batch * chunks],
      cost: { ...cost, bytes: cost.bytes + 4 * batch * (chunks - 1) * m * n },
    }),
    chunks,
  };
}
