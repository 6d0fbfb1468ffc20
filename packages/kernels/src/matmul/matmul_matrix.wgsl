enable subgroups;
enable chromium_experimental_subgroup_matrix;
// Matrix product by the matrices that a subgroup multiplies as one: out = activation(a·b + bias) + residual.
//
// Layout   a [batch,m,k], b [batch,k,n], bias [n], residual and out [batch,m,n], all row-major f32.
// Needs    An adapter that multiplies f32 matrices of 8 × 8 (`Capabilities.matrixSubgroup`): halves would round what is
//          multiplied, and results must not depend on the adapter beyond the order of sums. m and n divisible by 64, k by 8;
//          WG a multiple of the largest subgroup.
// Cost     2·m·k·n FLOPs. A workgroup computes 64 × 64 outputs, each of its first four subgroups 32 × 32: for 8 steps it
//          loads 4 + 4 matrices (2 KiB, of which half come from the cache that neighbours filled) for 16 products (16
//          KiFLOPs). The 16 sums take 32 registers of an invocation of a subgroup of 32. Operands come straight from
//          memory: the matrices' loads are the hardware's own, and there are no barriers before the epilogue.
//          Nobody has run this on a GPU yet: it is validated by Dawn, and tested with the matrices emulated.

override WG: u32 = 128;

alias Left = subgroup_matrix_left<f32, 8, 8>;
alias Right = subgroup_matrix_right<f32, 8, 8>;
alias Sums = subgroup_matrix_result<f32, 8, 8>;

const TILE = 64u;

struct Params {
  m: u32,
  n: u32,
  k: u32,
  // From one batch entry to the next; 0 where an operand is shared by all.
  a_stride: u32,
  b_stride: u32,
  // As in epilogue.wgsl.
  epilogue: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(num_subgroups) subgroups: u32,
) {
  let n = params.n;
  let corner = (group.z * params.m + group.y * TILE) * n + group.x * TILE;
  // As a rule a subgroup has one quarter of the tile; where there are fewer subgroups, each has several.
  for (var quarter = subgroup; quarter < 4u; quarter += subgroups) {
    let below = quarter / 2u * 32u;
    let right = quarter % 2u * 32u;
    var i = group.z * params.a_stride + (group.y * TILE + below) * params.k;
    var j = group.z * params.b_stride + group.x * TILE + right;
    // Said in so many words: Dawn clears a variable without a value once, not in every turn of the loop.
    var sums = array<array<Sums, 4>, 4>();
    for (var k = 0u; k < params.k; k += 8u) {
      var x: array<Left, 4>;
      for (var r = 0u; r < 4u; r++) { x[r] = subgroupMatrixLoad<Left, row_major>(&a, i + 8u * r * params.k, params.k); }
      for (var c = 0u; c < 4u; c++) {
        let w = subgroupMatrixLoad<Right, row_major>(&b, j + 8u * c, n);
        for (var r = 0u; r < 4u; r++) { sums[r][c] = subgroupMatrixMultiplyAccumulate(x[r], w, sums[r][c]); }
      }
      i += 8u;
      j += 8u * n;
    }
    for (var r = 0u; r < 4u; r++) {
      for (var c = 0u; c < 4u; c++) {
        subgroupMatrixStore<row_major>(&out, corner + (below + 8u * r) * n + right + 8u * c, sums[r][c], n);
      }
    }
  }
  if params.epilogue == 0u { return; }
  storageBarrier();
  for (var e = local; e < TILE * TILE; e += WG) {
    let column = e % TILE;
    let index = corner + e / TILE * n + column;
    var y = out[index];
    if (params.epilogue & 1u) != 0u { y += bias[group.x * TILE + column]; }
    y = activate(params.epilogue >> 2u, vec4f(y)).x;
    if (params.epilogue & 2u) != 0u { y += residual[index]; }
    out[index] = y;
  }
}
