import { type Capabilities, type Kernel, defineKernel } from '../kernel.js';
import subgroups from './team_subgroups.wgsl';
import tree from './team.wgsl';

/** A kernel whose rows belong to one invocation or to a workgroup, with both ways in which a workgroup joins. */
export interface TeamKernel {
  tree: Kernel;
  subgroups: Kernel;
}

/**
 * Overrides a planner's choice, for tests and benchmarks: no vec4s, a workgroup a row that joins in workgroup memory, or
 * one that joins by subgroups, where the adapter has them.
 */
export type TeamForce = 'naive' | 'team' | 'subgroups';

/** {@link defineKernel} for a kernel that calls `team_sum` or `team_max`. */
export function defineTeam(name: string, ...parts: string[]): TeamKernel {
  return {
    tree: defineKernel(name, tree, ...parts),
    subgroups: defineKernel(`${name}_subgroups`, subgroups, ...parts),
  };
}

/**
 * Which kernel to launch, and how many invocations of a workgroup of `WG` share a row.
 *
 * @param pays whether a GPU gains from sharing: rows are long, or few
 */
export function teamOf(
  kernels: TeamKernel,
  WG: number,
  pays: boolean,
  force: TeamForce | undefined,
  caps: Capabilities,
): { kernel: Kernel; TEAM: number } {
  const shared = pays && !caps.isSoftware;
  const variant = force ?? (!shared ? 'alone' : caps.subgroups ? 'subgroups' : 'team');
  if (variant === 'subgroups') return { kernel: kernels.subgroups, TEAM: WG };
  return { kernel: kernels.tree, TEAM: variant === 'team' ? WG : 1 };
}
