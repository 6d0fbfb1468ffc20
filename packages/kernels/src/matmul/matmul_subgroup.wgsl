// Matrix product with a fused epilogue for software adapters with subgroups: what matmul.wgsl computes.
//
// Layout   as there.
// Needs    k and n divisible by 4, and subgroups as shared/subgroup_tile.wgsl wants them.
// Cost     2·m·k·n FLOPs; a subgroup computes one tile (shared/tile16.wgsl). On lavapipe with subgroups of 8, 512³ runs
//          at 33 GFLOP/s where matmul.wgsl reaches 8.

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = linear_index(group, groups, local, WG) / SUBGROUP;
  // Neighbouring subgroups share the rows of a, which stay in the cache.
  let columns = (params.n4 + SUBGROUP - 1u) / SUBGROUP;
  let row = tile / columns * 16u;
  if row >= params.m { return; }
  let column = tile % columns * SUBGROUP + lane;
  let batch = group.z;
  let first = batch * params.b_stride + block_start(min(column, params.n4 - 1u), params.b_row);
  let t = tile16(batch * params.a_stride, row, params.m, params.k4, first, params.b_row, lane);
  if column >= params.n4 { return; }
  // Loops keep the epilogue's code small: unrolled, it takes as long to compile as the product.
  var quads = array(t.t0, t.t1, t.t2, t.t3);
  for (var q = 0u; q < 4u; q++) {
    for (var r = 0u; r < 4u && row + 4u * q + r < params.m; r++) {
      store(batch, row + 4u * q + r, column, quads[q][r]);
    }
  }
}
