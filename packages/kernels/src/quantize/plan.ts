import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import linear from '../shared/linear.wgsl';
import vec4Source from './nearest.wgsl';
import naiveSource from './nearest_naive.wgsl';

const vec4 = defineKernel('nearest', linear, vec4Source);
const naive = defineKernel('nearest_naive', linear, naiveSource);

export interface NearestShape {
  rows: number;
  /** How many codes, at least 1. */
  count: number;
  /** Length of a row and of a code. */
  dim: number;
}

export interface NearestOptions {
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: 'naive';
}

/** Operands: z, codes, out. */
export function planNearest(shape: NearestShape, options: NearestOptions, caps: Capabilities): Launch {
  const { rows, count, dim } = shape;
  const WG = 64;
  const fast = dim === 4 && options.force !== 'naive';
  return launch(fast ? vec4 : naive, {
    constants: { WG },
    params: fast ? { rows, count } : { rows, count, d: dim },
    workgroups: linearGrid(fast ? Math.ceil(rows / 4) : rows, WG, caps),
    cost: { flops: 3 * rows * count * dim, bytes: 4 * (rows * dim + count * dim + rows) },
  });
}
