import { type Capabilities, type Launch, launch, linearGrid } from '../kernel.js';
import type { Chunks } from '../reduce/plan.js';
import byChannel from '../shared/by_channel.wgsl';
import { teamOf } from '../shared/team.js';
import dotsSource from './channel_dots.wgsl';
import mixSource from './mix.wgsl';
import {
  type NormPlanOptions,
  type RowNormOptions,
  type SampleShape,
  WG,
  pair,
  pick,
  sampleGrid,
  teamPair,
  weightKind,
} from './plan.js';
import responseSource from './response_grad.wgsl';
import rowNormSource from './row_norm_grad.wgsl';

const rowNorm = teamPair('row_norm_grad', rowNormSource);
const dots = pair('channel_dots', dotsSource);
const response = teamPair('response_grad', responseSource);
const mix = pair('mix', byChannel, mixSource);

/** Operands: x, weight or null, dy, dx, product or null (dy · normalised x, if `product`). */
export function planRowNormGrad(
  rows: number,
  channels: number,
  options: Omit<RowNormOptions, 'biases'> & { product: boolean },
  caps: Capabilities,
): Launch {
  const { center, eps, weights, product, force } = options;
  const { kernel: team, lanes } = pick(rowNorm, channels, options);
  const { kernel, TEAM } = teamOf(team, WG, channels >= 128, force, caps);
  return launch(kernel, {
    constants: { WG, TEAM },
    params: {
      rows,
      length: channels / lanes,
      mean: 1 / channels,
      eps,
      center: Number(center),
      weight: weightKind(weights, channels),
      product: Number(product),
    },
    workgroups: linearGrid(rows * TEAM, WG, caps),
    cost: { flops: 16 * rows * channels, bytes: (product ? 16 : 12) * rows * channels + 4 * weights },
  });
}

/** Operands: a, b, out `[samples,chunks,2·channels]`: Σ a·b, then Σ b. */
export function planChannelDots(
  { samples, positions, channels: all }: SampleShape,
  chunks: Chunks,
  options: NormPlanOptions,
  caps: Capabilities,
): Launch {
  const { kernel, lanes } = pick(dots, all, options);
  const channels = all / lanes;
  return launch(kernel, {
    constants: { WG },
    params: { samples, positions, channels, chunks: chunks.count, chunk: chunks.length },
    workgroups: linearGrid(samples * chunks.count * channels, WG, caps),
    cost: { flops: 3 * samples * positions * all, bytes: 8 * samples * all * (positions + chunks.count) },
  });
}

/** Operands: squares, dots, gamma, factors and parts `[samples,2·channels]`. */
export function planResponseGrad(
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
    cost: { flops: samples * channels * (3 * chunks + 12), bytes: 4 * samples * channels * (3 * chunks + 8) },
  });
}

/** Operands: a, b, factors `[samples,2·channels]`, out. */
export function planMix(shape: SampleShape, options: NormPlanOptions, caps: Capabilities): Launch {
  const { kernel, lanes } = pick(mix, shape.channels, options);
  const channels = shape.channels / lanes;
  const sample = shape.positions * channels;
  const size = shape.samples * sample;
  return launch(kernel, {
    constants: { WG },
    params: { sample, channels },
    workgroups: sampleGrid(sample, shape.samples, caps),
    cost: { flops: 3 * size * lanes, bytes: 12 * size * lanes },
  });
}
