// Product aᵀ·b for software adapters with subgroups: what matmul_tn.wgsl computes, one tile of 16 rows a subgroup.
//
// Layout   as there.
// Needs    m and n divisible by 4, and subgroups as shared/subgroup_tile.wgsl wants them.
// Cost     2·m·k·n FLOPs. Four invocations load the 16 rows of a step, and the next four those of the next step, for all:
//          with subgroups of 8, 3 vec4 loads for 32 vec4 FMAs, where matmul_tn.wgsl loads 3 for 8.

override WG: u32 = 64;

struct Params {
  m4: u32,
  n4: u32,
  k: u32,
  chunk: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

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
  var t0 = mat4x4f(); var t1 = mat4x4f(); var t2 = mat4x4f(); var t3 = mat4x4f();
  for (var k = start; k < end; k += steps) {
    let x = a[i + min(k + lane / 4u % steps, end - 1u) * params.m4];
    let w = b[j + k * params.n4];
    t0 = outer(subgroupBroadcast(x, 0u), w, t0);
    t1 = outer(subgroupBroadcast(x, 1u), w, t1);
    t2 = outer(subgroupBroadcast(x, 2u), w, t2);
    t3 = outer(subgroupBroadcast(x, 3u), w, t3);
    if SUBGROUP > 4u && k + 1u < end {
      let next = b[j + (k + 1u) * params.n4];
      t0 = outer(subgroupBroadcast(x, 4u), next, t0);
      t1 = outer(subgroupBroadcast(x, 5u), next, t1);
      t2 = outer(subgroupBroadcast(x, 6u), next, t2);
      t3 = outer(subgroupBroadcast(x, 7u), next, t3);
    }
  }
  if column >= params.n4 { return; }
  let to = (group.z * params.m4 + row4) * 4u * params.n4 + column;
  var quads = array(t0, t1, t2, t3);
  for (var q = 0u; q < 4u && row4 + q < params.m4; q++) {
    for (var r = 0u; r < 4u; r++) { out[to + (4u * q + r) * params.n4] = quads[q][r]; }
  }
}
