import type { Capabilities } from '../kernel.js';

/** Whether products can be tiled by subgroups as `subgroup_tile.wgsl` wants them; what software adapters gain from. */
export function hasEqualSubgroups({ isSoftware, subgroupSize }: Capabilities): boolean {
  return isSoftware && (subgroupSize === 4 || (subgroupSize > 0 && subgroupSize % 8 === 0));
}

/** Invocations that compute `rows` × `columns4` vec4s in tiles of 16 rows × a vec4 an invocation: whole subgroups. */
export function subgroupInvocations(rows: number, columns4: number, { subgroupSize }: Capabilities): number {
  return Math.ceil(rows / 16) * Math.ceil(columns4 / subgroupSize) * subgroupSize;
}
