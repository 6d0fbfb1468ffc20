import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import { LANES, inLanes, lanesFor } from '../shared/lanes.js';
import linear from '../shared/linear.wgsl';
import team from '../shared/team.wgsl';
import source from './cross_entropy.wgsl';

const kernels = {
  scalar: defineKernel('cross_entropy', linear, LANES.scalar, team, source),
  rows: defineKernel('cross_entropy_rows', linear, LANES.rows, team, source),
};

const WG = 64;

export interface CrossEntropyPlanOptions {
  smoothing: number;
  /** Overrides the planner's choice, for tests and benchmarks: no vec4s, or a workgroup a row. */
  force?: 'naive' | 'team';
}

/** Operands: logits [rows,classes], the same again, labels [rows], out [rows]. */
export function planCrossEntropy(
  rows: number,
  classes: number,
  { smoothing, force }: CrossEntropyPlanOptions,
  caps: Capabilities,
): Launch {
  const lanes = force !== 'naive' && lanesFor(classes, 1) === 'rows' ? 'rows' : 'scalar';
  const { length } = inLanes(lanes, classes, 1);
  const TEAM = force === 'team' || (!force && !caps.isSoftware && classes >= 128) ? WG : 1;
  return launch(kernels[lanes], {
    constants: { WG, TEAM },
    params: { rows, length, classes, smoothing },
    workgroups: linearGrid(rows * TEAM, WG, caps),
    cost: { flops: 5 * rows * classes, bytes: 4 * rows * (classes + 2) },
  });
}
