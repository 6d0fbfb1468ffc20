import { type Capabilities, type Launch, launch, linearGrid } from '../kernel.js';
import { LANES, inLanes, lanesFor } from '../shared/lanes.js';
import linear from '../shared/linear.wgsl';
import { type TeamForce, defineTeam, teamOf } from '../shared/team.js';
import source from './cross_entropy.wgsl';

const kernels = {
  scalar: defineTeam(
    'cross_entropy',
    linear,
    LANES.scalar,
    source,
    'fn number_at(start: u32, i: u32) -> f32 { return x[start + i]; }',
    'fn one_hot(i: u32, label: u32) -> f32 { return select(0.0, 1.0, i == label); }',
  ),
  rows: defineTeam(
    'cross_entropy_rows',
    linear,
    LANES.rows,
    source,
    'fn number_at(start: u32, i: u32) -> f32 { return x[start + i / 4u][i % 4u]; }',
    `fn one_hot(i: u32, label: u32) -> vec4f {
      return select(vec4f(), vec4f(1.0), 4u * i + vec4u(0u, 1u, 2u, 3u) == vec4u(label));
    }`,
  ),
};

const WG = 64;

export interface CrossEntropyPlanOptions {
  smoothing: number;
  force?: TeamForce;
}

/**
 * Operands: logits [rows,classes] (with `gradient`, overwritten by it), labels [rows], scales [rows] or null, out [rows,2]:
 * cross-entropy, and 1 where the label has the largest logit.
 */
export function planCrossEntropy(
  rows: number,
  classes: number,
  { smoothing, force, gradient }: CrossEntropyPlanOptions & { gradient: boolean },
  caps: Capabilities,
): Launch {
  const lanes = force !== 'naive' && lanesFor(classes, 1) === 'rows' ? 'rows' : 'scalar';
  const { length } = inLanes(lanes, classes, 1);
  const { kernel, TEAM } = teamOf(kernels[lanes], WG, classes >= 128, force, caps);
  return launch(kernel, {
    constants: { WG, TEAM },
    params: { rows, length, classes, smoothing, gradient: Number(gradient) },
    workgroups: linearGrid(rows * TEAM, WG, caps),
    cost: { flops: 8 * rows * classes, bytes: (gradient ? 8 : 4) * rows * classes },
  });
}
