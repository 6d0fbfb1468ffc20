// TEAM neighbouring invocations share a row: each takes every TEAM-th element, then they join their results.
// TEAM is a power of two that divides WG. Every invocation of the workgroup must make the call.

override WG: u32 = 64;
override TEAM: u32 = 64;

var<workgroup> team_scratch: array<S, WG>;

fn team_sum(local: u32, value: S) -> S {
  workgroupBarrier(); // the previous call's result has been read
  team_scratch[local] = value;
  for (var step = TEAM / 2u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if local % TEAM < step { team_scratch[local] += team_scratch[local + step]; }
  }
  workgroupBarrier();
  return team_scratch[local - local % TEAM];
}

fn team_max(local: u32, value: S) -> S {
  workgroupBarrier();
  team_scratch[local] = value;
  for (var step = TEAM / 2u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if local % TEAM < step { team_scratch[local] = max(team_scratch[local], team_scratch[local + step]); }
  }
  workgroupBarrier();
  return team_scratch[local - local % TEAM];
}
