// Matrix product with a fused epilogue: out = activation(a·b + bias) + residual.
//
// Layout   a [batch,m,k], b [batch,k,n] (shared/block_nn.wgsl) or [batch,n,k] (block_nt.wgsl), bias [n], residual and
//          out [batch,m,n], all row-major f32; b may be f16 (shared/weight_f16.wgsl).
// Needs    k and n divisible by 4.
// Cost     2·m·k·n FLOPs; an invocation computes one tile (shared/tile8.wgsl).

override WG: u32 = 64;

struct Params {
  m: u32,
  k4: u32,
  n4: u32,
  // Of a row of b.
  b_row: u32,
  // In vec4s from one batch entry to the next; 0 where an operand is shared by all.
  a_stride: u32,
  b_stride: u32,
  // What follows the product: 1 adds the bias, 2 the residual, and the rest counts activations in fours. It is no
  // pipeline constant: one pipeline for all epilogues compiles once, and the branches are uniform.
  epilogue: u32,
}

@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read> residual: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

fn store(batch: u32, row: u32, column: u32, sum: vec4f) {
  let index = (batch * params.m + row) * params.n4 + column;
  var y = sum;
  if (params.epilogue & 1u) != 0u { y += bias[column]; }
  y = activate(params.epilogue >> 2u, y);
  if (params.epilogue & 2u) != 0u { y += residual[index]; }
  out[index] = y;
}

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
