// team.wgsl where an invocation has its row to itself, TEAM = 1: nothing to join, and no barrier in the module, for which
// an adapter on a CPU would prepare every workgroup.

override WG: u32 = 64;
override TEAM: u32 = 1;

fn team_sum(local: u32, value: S) -> S {
  return value;
}

fn team_max(local: u32, value: S) -> S {
  return value;
}
