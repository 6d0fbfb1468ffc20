// TEAM neighbouring invocations share a row: each takes every TEAM-th element, then they join their results.
// TEAM is a power of two that divides WG. With TEAM = 1 an invocation has the row to itself and there are no
// barriers, which is what adapters on a CPU want. Every invocation of the workgroup must make the call.

override WG: u32 = 64;
override TEAM: u32 = 1;

var<workgroup> team_scratch: array<S, WG>;

fn team_sum(local: u32, value: S) -> S {
  if TEAM == 1u { return value; }
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
  if TEAM == 1u { return value; }
  workgroupBarrier();
  team_scratch[local] = value;
  for (var step = TEAM / 2u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if local % TEAM < step { team_scratch[local] = max(team_scratch[local], team_scratch[local + step]); }
  }
  workgroupBarrier();
  return team_scratch[local - local % TEAM];
}
