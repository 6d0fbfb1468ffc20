// Matrix product with a fused epilogue: out = activation(a·b + bias) + residual.
//
// Layout   a [batch,m,k], b [batch,k,n], bias [n], residual and out [batch,m,n], all row-major f32; b may be
//          f16 (shared/weight_f16.wgsl).
// Needs    k and n divisible by 4.
// Cost     2·m·k·n FLOPs; an invocation computes a tile of 8 rows × 4 columns and, for every 4 steps of k,
//          loads 8 vec4 of a and 4 of b for 32 vec4 FMAs.
//
// The tile lives in registers and operands come straight from memory: adapters that run on a CPU pay for
// every load and every barrier, so staging tiles in workgroup memory costs there more than it saves. The
// rows are written out because not every compiler keeps an indexed local array in registers.

override WG: u32 = 64;
override HAS_BIAS: bool = false;
override HAS_RESIDUAL: bool = false;
override ACTIVATION: u32 = 0;

struct Params {
  m: u32,
  k4: u32,
  n4: u32,
  // In vec4s from one batch entry to the next; 0 where an operand is shared by all.
  a_stride: u32,
  b_stride: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read> residual: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

fn store(batch: u32, row: u32, column: u32, sum: vec4f) {
  if row >= params.m { return; }
  let index = (batch * params.m + row) * params.n4 + column;
  var y = sum;
  if HAS_BIAS { y += bias[column]; }
  y = activate(ACTIVATION, y);
  if HAS_RESIDUAL { y += residual[index]; }
  out[index] = y;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = linear_index(group, groups, local, WG);
  // Neighbouring invocations share the columns of b and differ in the rows of a.
  let row_tiles = (params.m + 7u) / 8u;
  let column = tile / row_tiles;
  let row = (tile % row_tiles) * 8u;
  if column >= params.n4 { return; }
  let batch = group.z;
  let last = params.m - 1u;
  let base = batch * params.a_stride;
  let i0 = base + row * params.k4;
  let i1 = base + min(row + 1u, last) * params.k4;
  let i2 = base + min(row + 2u, last) * params.k4;
  let i3 = base + min(row + 3u, last) * params.k4;
  let i4 = base + min(row + 4u, last) * params.k4;
  let i5 = base + min(row + 5u, last) * params.k4;
  let i6 = base + min(row + 6u, last) * params.k4;
  let i7 = base + min(row + 7u, last) * params.k4;
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  var j = batch * params.b_stride + column;
  for (var k = 0u; k < params.k4; k++) {
    let b0 = load_weight(j);
    let b1 = load_weight(j + params.n4);
    let b2 = load_weight(j + 2u * params.n4);
    let b3 = load_weight(j + 3u * params.n4);
    j += 4u * params.n4;
    s0 = rank4(a[i0 + k], b0, b1, b2, b3, s0);
    s1 = rank4(a[i1 + k], b0, b1, b2, b3, s1);
    s2 = rank4(a[i2 + k], b0, b1, b2, b3, s2);
    s3 = rank4(a[i3 + k], b0, b1, b2, b3, s3);
    s4 = rank4(a[i4 + k], b0, b1, b2, b3, s4);
    s5 = rank4(a[i5 + k], b0, b1, b2, b3, s5);
    s6 = rank4(a[i6 + k], b0, b1, b2, b3, s6);
    s7 = rank4(a[i7 + k], b0, b1, b2, b3, s7);
  }
  store(batch, row, column, s0);
  store(batch, row + 1u, column, s1);
  store(batch, row + 2u, column, s2);
  store(batch, row + 3u, column, s3);
  store(batch, row + 4u, column, s4);
  store(batch, row + 5u, column, s5);
  store(batch, row + 6u, column, s6);
  store(batch, row + 7u, column, s7);
}
