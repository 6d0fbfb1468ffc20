// Matrix product with a fused epilogue: out = activation(a·b + bias) + residual.
//
// Layout   a [batch,m,k], b [batch,k,n] (shared/block_nn.wgsl) or [batch,n,k] (block_nt.wgsl), bias [n], residual and
//          out [batch,m,n], all row-major f32; b may be f16 (shared/weight_f16.wgsl).
// Needs    k and n divisible by 4.
// Cost     2·m·k·n FLOPs; an invocation computes one tile (shared/tile8.wgsl).

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = linear_index(group, groups, local, WG);
  // Neighbouring invocations share the rows of a, which stay in the cache, and read and write neighbouring columns: on
  // lavapipe that takes 0.6 to 0.9 of the time of the other order.
  let column = tile % params.n4;
  let row = tile / params.n4 * 8u;
  if row >= params.m { return; }
  let batch = group.z;
  let first = batch * params.b_stride + block_start(column, params.b_row);
  let t = tile8(batch * params.a_stride, row, params.m, params.k4, first, params.b_row);
  // A loop keeps the epilogue's code small: unrolled, it takes as long to compile as the product.
  var sums = array(t.s0, t.s1, t.s2, t.s3, t.s4, t.s5, t.s6, t.s7);
  for (var r = 0u; r < 8u && row + r < params.m; r++) { store(batch, row + r, column, sums[r]); }
}
