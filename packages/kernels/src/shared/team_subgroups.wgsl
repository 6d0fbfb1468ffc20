enable subgroups;
// team.wgsl for adapters with subgroups: the invocations of a subgroup join without workgroup memory, and then one slot
// a subgroup is joined by all. Two barriers instead of log2(TEAM) + 2, which is what a short row's time goes to.
//
// Nothing is assumed of subgroups: neither their size, which may differ from one pipeline to the next, nor which
// invocations form one. Each knows its leader, the smallest index in it; a sum's slots are zero but for leaders.
// Here TEAM is WG: the whole workgroup has one row. Every invocation of it must make the call.

override WG: u32 = 64;
override TEAM: u32 = 64;

var<workgroup> team_scratch: array<S, WG>;

fn team_sum(local: u32, value: S) -> S {
  let part = subgroupAdd(value);
  workgroupBarrier(); // the previous call's result has been read
  team_scratch[local] = select(S(), part, local == subgroupMin(local));
  workgroupBarrier();
  var sum = S();
  let lanes = subgroupAdd(1u);
  for (var i = subgroupExclusiveAdd(1u); i < WG; i += lanes) { sum += team_scratch[i]; }
  return subgroupAdd(sum);
}

fn team_max(local: u32, value: S) -> S {
  let part = subgroupMax(value);
  workgroupBarrier();
  team_scratch[local] = part;
  workgroupBarrier();
  var top = part;
  let lanes = subgroupAdd(1u);
  for (var i = subgroupExclusiveAdd(1u); i < WG; i += lanes) { top = max(top, team_scratch[i]); }
  return subgroupMax(top);
}
