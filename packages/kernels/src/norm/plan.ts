import {
  type Capabilities,
  type Kernel,
  type Launch,
  defineKernel,
  launch,
  linearGrid,
  steppedGrid,
} from '../kernel.js';
import type { Chunks } from '../reduce/plan.js';
import { LANES } from '../shared/lanes.js';
import byChannel from '../shared/by_channel.wgsl';
import linear from '../shared/linear.wgsl';
import { type TeamForce, type TeamKernel, defineTeam, teamOf } from '../shared/team.js';
import batchNormSource from './batch_norm.wgsl';
import modulateSource from './modulate.wgsl';
import mergeSource from './moments_merge.wgsl';
import momentsSource from './moments.wgsl';
import responseSource from './response_scale.wgsl';
import rowNormSource from './row_norm.wgsl';

/** A kernel over channels, for channels divisible by 4 and for any. */
export interface Pair<K = Kernel> {
  vec4: K;
  scalar: K;
}

export const pair = (name: string, ...parts: string[]): Pair => ({
  vec4: defineKernel(name, linear, LANES.rows, ...parts),
  scalar: defineKernel(`${name}_scalar`, linear, LANES.scalar, ...parts),
});

/** A single weight lies in the first lane. */
const oneOf = {
  vec4: 'fn one_of(v: vec4f) -> f32 { return v.x; }',
  scalar: 'fn one_of(v: f32) -> f32 { return v; }',
};

/** A kernel over rows that a workgroup may share. */
export const teamPair = (name: string, ...parts: string[]): Pair<TeamKernel> => ({
  vec4: defineTeam(name, linear, LANES.rows, oneOf.vec4, ...parts),
  scalar: defineTeam(`${name}_scalar`, linear, LANES.scalar, oneOf.scalar, ...parts),
});

const rowNorm = teamPair('row_norm', rowNormSource);
const batchNorm = pair('batch_norm', byChannel, batchNormSource);
const modulate = pair('modulate', byChannel, modulateSource);
const response = teamPair('response_scale', responseSource);
const moments = pair('moments', momentsSource);
const merge = pair('moments_merge', mergeSource);

export const WG = 64;

export interface NormPlanOptions {
  force?: TeamForce;
}

/** Positions of each sample, each with all channels. */
export interface SampleShape {
  samples: number;
  positions: number;
  channels: number;
}

export function pick<K>({ vec4, scalar }: Pair<K>, channels: number, { force }: NormPlanOptions) {
  return channels % 4 === 0 && force !== 'naive' ? { kernel: vec4, lanes: 4 } : { kernel: scalar, lanes: 1 };
}

/** How a kernel reads `count` weights: 0 none, 1 one a channel, 2 one for all. */
export const weightKind = (count: number, channels: number): number =>
  count === 0 ? 0 : count === channels ? 1 : 2;

/** The grid of a kernel that walks samples of `sample` elements by `by_channel.wgsl`. */
export function sampleGrid(sample: number, samples: number, caps: Capabilities): [number, number, number] {
  const [x, y] = steppedGrid(sample, WG, caps);
  return [x, y, samples];
}

export interface RowNormOptions extends NormPlanOptions {
  /** Subtracts the mean: layer norm. Without it: RMS norm. */
  center: boolean;
  eps: number;
  /** How many weights and biases there are: none, one, or one a channel. */
  weights: number;
  biases: number;
}

/** Operands: x `[rows,channels]`, weight or null, bias or null, out. */
export function planRowNorm(
  rows: number,
  channels: number,
  options: RowNormOptions,
  caps: Capabilities,
): Launch {
  const { center, eps, weights, biases, force } = options;
  const { kernel: team, lanes } = pick(rowNorm, channels, options);
  const { kernel, TEAM } = teamOf(team, WG, channels >= 128, force, caps);
  return launch(kernel, {
    constants: {
      WG,
      TEAM,
      CENTER: center,
      WEIGHT: weightKind(weights, channels),
      BIAS: weightKind(biases, channels),
    },
    params: { rows, length: channels / lanes, mean: 1 / channels, eps },
    workgroups: linearGrid(rows * TEAM, WG, caps),
    cost: { flops: 7 * rows * channels, bytes: 8 * rows * channels + 4 * (weights + biases) },
  });
}

export interface BatchNormOptions extends NormPlanOptions {
  eps: number;
  weight: boolean;
  bias: boolean;
  /** Each sample has statistics of its own. */
  perSample: boolean;
}

/** Operands: x, mean, variance, weight or null, bias or null, out. */
export function planBatchNorm(shape: SampleShape, options: BatchNormOptions, caps: Capabilities): Launch {
  const { samples, positions } = shape;
  const { kernel, lanes } = pick(batchNorm, shape.channels, options);
  const channels = shape.channels / lanes;
  const sample = positions * channels;
  const size = samples * sample;
  return launch(kernel, {
    constants: { WG, HAS_WEIGHT: options.weight, HAS_BIAS: options.bias },
    params: { sample, channels, stride: options.perSample ? channels : 0, eps: options.eps },
    workgroups: sampleGrid(sample, shape.samples, caps),
    cost: { flops: 5 * size * lanes, bytes: 8 * size * lanes },
  });
}

/** Operands: x, scale_shift, out. `shared`: one row of scale_shift serves all samples; `shift: false` only scales. */
export function planModulate(
  shape: SampleShape,
  options: NormPlanOptions & { shared: boolean; shift?: boolean },
  caps: Capabilities,
): Launch {
  const { kernel, lanes } = pick(modulate, shape.channels, options);
  const channels = shape.channels / lanes;
  const sample = shape.positions * channels;
  const size = shape.samples * sample;
  return launch(kernel, {
    constants: { WG },
    params: {
      sample,
      channels,
      stride: options.shared ? 0 : 2 * channels,
      shift: Number(options.shift ?? true),
    },
    workgroups: sampleGrid(sample, shape.samples, caps),
    cost: { flops: 2 * size * lanes, bytes: 8 * size * lanes },
  });
}

/** Operands: sums `[samples,chunks,channels]`, gamma, beta, out `[samples,2·channels]`. */
export function planResponseScale(
  samples: number,
  chunks: number,
  channels: number,
  options: NormPlanOptions & { eps: number },
  caps: Capabilities,
): Launch {
  const { kernel: team, lanes } = pick(response, channels, options);
  const { kernel, TEAM } = teamOf(team, WG, true, options.force, caps);
  return launch(kernel, {
    constants: { WG, TEAM },
    params: { samples, chunks, channels: channels / lanes, mean: 1 / channels, eps: options.eps },
    workgroups: linearGrid(samples * TEAM, WG, caps),
    cost: { flops: samples * channels * (chunks + 3), bytes: 4 * samples * channels * (chunks + 2) },
  });
}

/** Operands: x, mean and variance `[samples,chunks,channels]`. */
export function planMoments(
  shape: SampleShape,
  chunks: Chunks,
  options: NormPlanOptions,
  caps: Capabilities,
): Launch {
  const { kernel, lanes } = pick(moments, shape.channels, options);
  const { samples, positions } = shape;
  const channels = shape.channels / lanes;
  const size = samples * positions * shape.channels;
  return launch(kernel, {
    constants: { WG },
    params: { samples, positions, channels, chunks: chunks.count, chunk: chunks.length },
    workgroups: linearGrid(samples * chunks.count * channels, WG, caps),
    cost: { flops: 4 * size, bytes: 4 * size + 8 * samples * chunks.count * shape.channels },
  });
}

/** Operands: means and variances `[samples,chunks,channels]`, mean and variance `[samples,channels]`. */
export function planMomentsMerge(
  shape: SampleShape,
  chunks: Chunks,
  options: NormPlanOptions,
  caps: Capabilities,
): Launch {
  const { kernel, lanes } = pick(merge, shape.channels, options);
  const { samples, positions } = shape;
  const channels = shape.channels / lanes;
  return launch(kernel, {
    constants: { WG },
    params: { samples, positions, channels, chunks: chunks.count, chunk: chunks.length },
    workgroups: linearGrid(samples * channels, WG, caps),
    cost: {
      flops: 6 * samples * chunks.count * shape.channels,
      bytes: 8 * samples * (chunks.count + 1) * shape.channels,
    },
  });
}
