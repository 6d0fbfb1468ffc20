// Product aᵀ·b for software adapters with subgroups: what matmul_tn.wgsl computes, one tile of 16 rows a subgroup.
//
// Layout   as there.
// Needs    m and n divisible by 4, and subgroups as shared/subgroup_tile.wgsl wants them.
// Cost     2·m·k·n FLOPs. Four invocations load the 16 rows of a step, and the next four those of the next step, for all:
//          with subgroups of 8, 3 vec4 loads for 32 vec4 FMAs, where matmul_tn.wgsl loads 3 for 8.

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = linear_index(group, groups, local, WG) / SUBGROUP;
  let columns = (params.n4 + SUBGROUP - 1u) / SUBGROUP;
  let row4 = tile / columns * 4u;
  if row4 >= params.m4 { return; }
  let column = tile % columns * SUBGROUP + lane;
  let batch = group.z / params.chunks;
  let start = group.z % params.chunks * params.chunk;
  let end = min(start + params.chunk, params.k);
  // Of the tile at the end, rows past the last one repeat it. They are not stored.
  let own_row4 = min(row4 + lane % 4u, params.m4 - 1u);
  let steps = select(2u, 1u, SUBGROUP == 4u);
  let i = batch * params.k * params.m4 + own_row4;
  let j = batch * params.k * params.n4 + min(column, params.n4 - 1u);
  var t = Tile16();
  for (var k = start; k < end; k += steps) {
    let x = a[i + min(k + lane / 4u % steps, end - 1u) * params.m4];
    let w = b[j + k * params.n4];
    t = add_outer(t, x, w);
    if SUBGROUP > 4u && k + 1u < end {
      let next = b[j + (k + 1u) * params.n4];
      t = add_next_outer(t, x, next);
    }
  }
  if column >= params.n4 { return; }
  let to = (group.z * params.m4 + row4) * 4u * params.n4 + column;
  var quads = array(t.t0, t.t1, t.t2, t.t3);
  for (var q = 0u; q < 4u && row4 + q < params.m4; q++) {
    for (var r = 0u; r < 4u; r++) { out[to + (4u * q + r) * params.n4] = quads[q][r]; }
  }
}
