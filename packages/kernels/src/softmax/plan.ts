import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import type { ReduceShape } from '../reduce/plan.js';
import { LANES, inLanes, lanesFor } from '../shared/lanes.js';
import linear from '../shared/linear.wgsl';
import team from '../shared/team.wgsl';
import source from './softmax.wgsl';

const kernels = {
  scalar: defineKernel('softmax', linear, LANES.scalar, team, source),
  rows: defineKernel('softmax_rows', linear, LANES.rows, team, source),
  columns: defineKernel('softmax_columns', linear, LANES.columns, team, source),
};

const WG = 64;

export interface SoftmaxPlanOptions {
  log?: boolean;
  /** Overrides the planner's choice, for tests and benchmarks: no vec4s, or a workgroup a row. */
  force?: 'naive' | 'team';
}

/** Operands: x, out. The middle dimension sums to 1. */
export function planSoftmax(shape: ReduceShape, options: SoftmaxPlanOptions, caps: Capabilities): Launch {
  const { log = false, force } = options;
  const { outer } = shape;
  const lanes = force === 'naive' ? 'scalar' : lanesFor(shape.length, shape.inner);
  const { length, inner } = inLanes(lanes, shape.length, shape.inner);
  const shared = force === 'team' || (!force && !caps.isSoftware && shape.inner === 1 && shape.length >= 128);
  const TEAM = shared ? WG : 1;
  const size = outer * shape.length * shape.inner;
  return launch(kernels[lanes], {
    constants: { WG, TEAM, LOG: log },
    params: { outer, length, inner },
    workgroups: linearGrid(outer * inner * TEAM, WG, caps),
    cost: { flops: 5 * size, bytes: 8 * size },
  });
}
