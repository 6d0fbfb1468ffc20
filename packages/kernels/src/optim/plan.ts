import { type Capabilities, type Launch, defineKernel, launch, steppedGrid } from '../kernel.js';
import linear from '../shared/linear.wgsl';
import adamwSource from './adamw.wgsl';
import averageSource from './average.wgsl';
import scaleSource from './scale.wgsl';
import sgdSource from './sgd.wgsl';

const adamw = defineKernel('adamw', linear, adamwSource);
const sgd = defineKernel('sgd', linear, sgdSource);
const average = defineKernel('average', linear, averageSource);
const scale = defineKernel('clip_scale', linear, scaleSource);

const WG = 64;

/** What a launch updates of flat parameters: both divisible by 4, in numbers. */
export interface FlatRange {
  start: number;
  size: number;
}

export interface AdamWStep {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
  /** Steps of these parameters so far, this one included. */
  step: number;
}

export interface SgdStep {
  lr: number;
  momentum: number;
  weightDecay: number;
  nesterov: boolean;
}

const cover = ({ start, size }: FlatRange) => ({ start: start / 4, count: size / 4 });
const grid = ({ size }: FlatRange, caps: Capabilities) => steppedGrid(size / 4, WG, caps);

/**
 * Operands: value (read and written), gradient, first and second moment (read and written), and the norm of all
 * gradients or null: with `guarded`, one that is not finite leaves everything as it is.
 */
export function planAdamW(
  range: FlatRange,
  options: AdamWStep & { guarded: boolean },
  caps: Capabilities,
): Launch {
  const { lr, betas, eps, weightDecay, step } = options;
  return launch(adamw, {
    constants: { WG },
    params: {
      ...cover(range),
      beta2: betas[1],
      rest1: 1 - betas[0],
      rest2: 1 - betas[1],
      eps,
      keep: 1 - lr * weightDecay,
      step_size: lr / (1 - betas[0] ** step),
      correction2: Math.sqrt(1 - betas[1] ** step),
      guarded: Number(options.guarded),
    },
    workgroups: grid(range, caps),
    cost: { flops: 14 * range.size, bytes: 28 * range.size },
  });
}

/** Operands: value (read and written), gradient, velocity (read and written). */
export function planSgd(range: FlatRange, options: SgdStep, caps: Capabilities): Launch {
  const { lr, momentum, weightDecay: decay, nesterov } = options;
  return launch(sgd, {
    constants: { WG },
    params: { ...cover(range), lr, momentum, decay, nesterov: Number(nesterov) },
    workgroups: grid(range, caps),
    cost: { flops: 6 * range.size, bytes: 20 * range.size },
  });
}

/** Operands: average, value; a `rate` of null exchanges them. */
export function planAverage(size: number, rate: number | null, caps: Capabilities): Launch {
  return launch(average, {
    constants: { WG, EXCHANGE: rate === null },
    params: { count: size / 4, rate: rate ?? 0 },
    workgroups: steppedGrid(size / 4, WG, caps),
    cost: { flops: 3 * size, bytes: (rate === null ? 16 : 12) * size },
  });
}

/** Operands: norm, gradients (read and written). */
export function planClipScale(
  range: FlatRange,
  options: { limit: number; unscale: number },
  caps: Capabilities,
): Launch {
  return launch(scale, {
    constants: { WG },
    params: { ...cover(range), ...options },
    workgroups: grid(range, caps),
    cost: { flops: range.size, bytes: 8 * range.size },
  });
}
