import { type Capabilities, type Launch, choose, defineKernel, launch, linearGrid } from '../kernel.js';
import byEntries from '../random/entries.wgsl';
import { type EntryStream, entryParams } from '../random/plan.js';
import threefry from '../random/threefry.wgsl';
import { inLanes, lanesFor } from '../shared/lanes.js';
import linear from '../shared/linear.wgsl';
import blockNN from '../shared/block_nn.wgsl';
import rank4 from '../shared/rank4.wgsl';
import subgroupTile from '../shared/subgroup_tile.wgsl';
import { hasEqualSubgroups, subgroupInvocations } from '../shared/subgroups.js';
import subgroups from '../shared/subgroups.wgsl';
import { type TeamForce, defineTeam, teamOf } from '../shared/team.js';
import tile16 from '../shared/tile16.wgsl';
import tile8 from '../shared/tile8.wgsl';
import weightF16 from '../shared/weight_f16.wgsl';
import weightF32 from '../shared/weight_f32.wgsl';
import best from './best.wgsl';
import chunkSource from './best_chunk.wgsl';
import consider from './consider.wgsl';
import gumbel from './gumbel.wgsl';
import subgroupSource from './sample_linear_subgroup.wgsl';
import tileSource from './sample_linear.wgsl';
import logitsSource from './sample_logits.wgsl';
import typicalRows from './typical_rows.wgsl';
import typicalScalar from './typical_scalar.wgsl';
import typicalSource from './typical.wgsl';

function defineFused(name: string, weight: string) {
  const shared = [linear, threefry, byEntries, best, gumbel, consider, weight, rank4, blockNN];
  return {
    tile: defineKernel(name, ...shared, tile8, tileSource),
    subgroup: defineKernel(`${name}_subgroup`, subgroups, ...shared, subgroupTile, tile16, subgroupSource),
  };
}

const fused = {
  f32: defineFused('sample_linear', weightF32),
  f16: defineFused('sample_linear_f16', weightF16),
};
const stored = defineKernel('sample_logits', linear, threefry, byEntries, best, gumbel, logitsSource);
const typical = {
  scalar: defineTeam('typical', linear, typicalScalar, typicalSource),
  rows: defineTeam('typical_rows', linear, typicalRows, typicalSource),
};
const bestChunk = defineKernel('best_chunk', linear, best, chunkSource);

/** The two passes of a draw and, between them, one (score, class) a row and chunk: `[chunks, rows, 2]` words. */
export interface SamplingPlan {
  /** Operands of the first pass end with the partial results. */
  pass1: Launch;
  /** Operands: partial results, out [rows] u32. */
  pass2: Launch;
  chunks: number;
}

/** The noise of a draw from softmax(logits·scale); null picks the largest logit. */
export type SamplingNoise = (EntryStream & { scale: number }) | null;

/** Classes of a chunk: the partial results take 1/32 of the memory that the logits would. */
const CHUNK = 64;
const WG = 64;

/** `subgroup` is for software adapters. */
export type SampleVariant = 'tile' | 'subgroup';

const TILE: readonly SampleVariant[] = ['tile'];
const SUBGROUP: readonly SampleVariant[] = ['subgroup', 'tile'];

/** Whether {@link planSampleLinear} can do it without storing the logits. */
export function canSampleLinear(channels: number, classes: number): boolean {
  return channels % 4 === 0 && classes % 4 === 0;
}

/** Operands of pass 1: h [rows,c], weight [c,classes], bias [classes] or null, partial results. */
export function planSampleLinear(
  shape: { rows: number; channels: number; classes: number },
  noise: SamplingNoise,
  { hasBias, weight, force }: { hasBias: boolean; weight: 'f32' | 'f16'; force?: SampleVariant },
  caps: Capabilities,
): SamplingPlan {
  const { rows, channels, classes } = shape;
  const chunks = Math.ceil(classes / CHUNK);
  const operands =
    4 * rows * channels + (weight === 'f16' ? 2 : 4) * channels * classes + (hasBias ? 4 * classes : 0);
  const candidates = hasEqualSubgroups(caps) ? SUBGROUP : TILE;
  const variant = force ?? choose(caps, `sample_linear ${weight}`, [rows, channels, classes], candidates);
  const isTile = variant === 'tile';
  const invocations = isTile ? Math.ceil(rows / 8) * chunks : subgroupInvocations(rows, chunks, caps);
  const { params, ENTRIES } = noiseParams(noise, rows);
  const constants = { WG, NOISE: noise !== null, HAS_BIAS: hasBias, ENTRIES };
  const pass1 = launch(fused[weight][variant], {
    constants: isTile ? constants : { ...constants, SUBGROUP: caps.subgroupSize },
    params: { rows, c4: channels / 4, classes4: classes / 4, chunks, ...params },
    workgroups: linearGrid(invocations, WG, caps),
    cost: { flops: 2 * rows * channels * classes, bytes: operands + 8 * rows * chunks },
  });
  return { pass1, pass2: planBestChunk(rows, chunks, caps), chunks };
}

/**
 * Operands of pass 1: logits [rows,classes], partial results.
 *
 * @param draw of which the logits are some rows: how many it has, and the first of these
 */
export function planSampleLogits(
  { rows, classes }: { rows: number; classes: number },
  noise: SamplingNoise,
  draw: { rows: number; start: number },
  caps: Capabilities,
): SamplingPlan {
  const chunks = Math.ceil(classes / CHUNK);
  const { params, ENTRIES } = noiseParams(noise, draw.rows);
  const pass1 = launch(stored, {
    constants: { WG, NOISE: noise !== null, ENTRIES },
    params: { rows, classes, span: CHUNK, chunks, start_row: draw.start, ...params },
    workgroups: linearGrid(rows * chunks, WG, caps),
    cost: { flops: 2 * rows * classes, bytes: 4 * rows * classes + 8 * rows * chunks },
  });
  return { pass1, pass2: planBestChunk(rows, chunks, caps), chunks };
}

/** Operands: logits [rows,classes], out. */
export function planTypical(
  { rows, classes }: { rows: number; classes: number },
  { mass, minTokens, force }: { mass: number; minTokens: number; force?: TeamForce },
  caps: Capabilities,
): Launch {
  const lanes = force !== 'naive' && lanesFor(classes, 1) === 'rows' ? 'rows' : 'scalar';
  const { kernel, TEAM } = teamOf(typical[lanes], WG, classes >= 128, force, caps);
  const { length } = inLanes(lanes, classes, 1);
  const halvings = Math.ceil(Math.log2(classes)) + 3;
  return launch(kernel, {
    constants: { WG, TEAM },
    params: { rows, length, classes, mass, min_tokens: minTokens },
    workgroups: linearGrid(rows * TEAM, WG, caps),
    cost: { flops: (8 + 5 * halvings) * rows * classes, bytes: 8 * rows * classes },
  });
}

function noiseParams(noise: SamplingNoise, rows: number) {
  const { scale, ...stream } = noise ?? { key: [0, 0] as const, stream: 0, scale: 1 };
  const { params, entry_size, ENTRIES } = entryParams(stream, rows);
  return { params: { ...params, scale, entry_rows: entry_size }, ENTRIES };
}

function planBestChunk(rows: number, chunks: number, caps: Capabilities): Launch {
  return launch(bestChunk, {
    constants: { WG },
    params: { rows, chunks },
    workgroups: linearGrid(rows, WG, caps),
    cost: { flops: rows * chunks, bytes: 8 * rows * chunks + 4 * rows },
  });
}
