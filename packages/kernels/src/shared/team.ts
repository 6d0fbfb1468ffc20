import { type Capabilities, type Kernel, defineKernel } from '../kernel.js';
import { hasEqualSubgroups } from './subgroups.js';
import alone from './team_alone.wgsl';
import oneSubgroup from './team_one_subgroup.wgsl';
import subgroups from './team_subgroups.wgsl';
import tree from './team.wgsl';

/** A kernel whose rows belong to one invocation, a subgroup or a workgroup, with the ways in which those join. */
export interface TeamKernel {
  alone: Kernel;
  tree: Kernel;
  subgroups: Kernel;
  oneSubgroup: Kernel;
}

/**
 * Overrides a planner's choice, for tests and benchmarks: no vec4s, a workgroup a row that joins in workgroup memory, one
 * that joins by subgroups, or a subgroup a row, where the adapter has them.
 */
export type TeamForce = 'naive' | 'team' | 'subgroups' | 'oneSubgroup';

/** {@link defineKernel} for a kernel that calls `team_sum` or `team_max`. */
export function defineTeam(name: string, ...parts: string[]): TeamKernel {
  return {
    alone: defineKernel(name, alone, ...parts),
    tree: defineKernel(`${name}_team`, tree, ...parts),
    subgroups: defineKernel(`${name}_subgroups`, subgroups, ...parts),
    oneSubgroup: defineKernel(`${name}_one_subgroup`, oneSubgroup, ...parts),
  };
}

/**
 * Which kernel to launch, and how many invocations of a workgroup of `WG` share a row.
 *
 * @param pays whether there is a gain from sharing: rows are long, or few
 */
export function teamOf(
  kernels: TeamKernel,
  WG: number,
  pays: boolean,
  force: TeamForce | undefined,
  caps: Capabilities,
): { kernel: Kernel; TEAM: number } {
  const variant = force ?? (pays ? sharedVariant(caps) : 'alone');
  if (variant === 'subgroups') return { kernel: kernels.subgroups, TEAM: WG };
  if (variant === 'oneSubgroup') return { kernel: kernels.oneSubgroup, TEAM: caps.subgroupSize };
  if (variant === 'team') return { kernel: kernels.tree, TEAM: WG };
  return { kernel: kernels.alone, TEAM: 1 };
}

function sharedVariant(caps: Capabilities): TeamForce | 'alone' {
  if (caps.isSoftware) return hasEqualSubgroups(caps) ? 'oneSubgroup' : 'alone';
  return caps.subgroups ? 'subgroups' : 'team';
}
