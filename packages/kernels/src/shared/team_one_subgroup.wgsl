enable subgroups;
// A row's invocations are in step with each other's but not with the next row's, which the compiler cannot see.
diagnostic(off, subgroup_uniformity);
// team.wgsl where a team is one subgroup, TEAM invocations: it joins without workgroup memory and without barriers, and
// reads its row side by side. That is what adapters on a CPU want with subgroups of one size, in the order of the
// invocation index: rows of their own would lie a row apart, often in the same few lines of the cache.

override WG: u32 = 64;
override TEAM: u32 = 4;

fn team_sum(local: u32, value: S) -> S {
  return subgroupAdd(value);
}

fn team_max(local: u32, value: S) -> S {
  return subgroupMax(value);
}
