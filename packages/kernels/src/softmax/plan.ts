import { type Capabilities, type Launch, launch, linearGrid } from '../kernel.js';
import type { ReduceShape } from '../reduce/plan.js';
import { LANES, inLanes, lanesFor } from '../shared/lanes.js';
import linear from '../shared/linear.wgsl';
import { type TeamForce, defineTeam, teamOf } from '../shared/team.js';
import source from './softmax.wgsl';

const kernels = {
  scalar: defineTeam('softmax', linear, LANES.scalar, source),
  rows: defineTeam('softmax_rows', linear, LANES.rows, source),
  columns: defineTeam('softmax_columns', linear, LANES.columns, source),
};

const WG = 64;

export interface SoftmaxPlanOptions {
  log?: boolean;
  force?: TeamForce;
}

/** Operands: x, out. The middle dimension sums to 1. */
export function planSoftmax(shape: ReduceShape, options: SoftmaxPlanOptions, caps: Capabilities): Launch {
  const { log = false, force } = options;
  const { outer } = shape;
  const lanes = force === 'naive' ? 'scalar' : lanesFor(shape.length, shape.inner);
  const { length, inner } = inLanes(lanes, shape.length, shape.inner);
  const pays = shape.inner === 1 && shape.length >= 128;
  const { kernel, TEAM } = teamOf(kernels[lanes], WG, pays, force, caps);
  const size = outer * shape.length * shape.inner;
  return launch(kernel, {
    constants: { WG, TEAM, LOG: log },
    params: { outer, length, inner },
    workgroups: linearGrid(outer * inner * TEAM, WG, caps),
    cost: { flops: 5 * size, bytes: 8 * size },
  });
}
