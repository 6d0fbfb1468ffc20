// Matrix product for GPUs, staged in workgroup memory: out = activation(a·b + bias) + residual.
//
// Layout   a [batch,m,k], or [batch,k,m] with A_STEPS; b [batch,k,n] with B_STEPS, else [batch,n,k]; bias [n], residual
//          and out [batch,m,n], all row-major f32; b may be f16 (shared/weight_f16.wgsl). Split along k, out is
//          [batch,chunks,m,n], chunk c the steps from c·chunk on, and matmul_sum.wgsl does the rest.
// Needs    n divisible by 4, and k too where an operand's rows are not steps of it, m where a's are. Of WebGPU, no more
//          than is guaranteed: 8 or 12 KiB of workgroup memory, 64 or 128 invocations.
// Cost     2·m·k·n FLOPs. A workgroup of 64 (128) invocations computes 64 (128) × 64 outputs, an invocation 8 × 8.
//          Memory: a tile reads (64 + 64)·4 bytes a step for 2·64·64 FLOPs: 16 FLOPs a byte (128 × 64: 21). At 20
//          TFLOP/s that is 1.0 to 1.3 TB/s, which caches must serve: neighbouring workgroups share the rows of a.
//          Workgroup memory: an invocation reads 64 bytes a step for 128 FLOPs, 2 FLOPs a byte, the ratio of a GPU
//          core that multiplies 128 lanes and reads 128 bytes a clock; 8 × 4 outputs would have 1.3. Invocations
//          that share rows read the same address, which is a broadcast.
//          Occupancy: 64 registers of sums and about 48 more leave room for 4 workgroups of 128, or 8 of 64, on a core
//          with 64 Ki registers, in 48 or 64 KiB of workgroup memory. 64 independent FMAs a step hide the latency of
//          arithmetic by themselves; the other workgroups hide that of staging, so there is no second buffer.
//          What to compare: `--suite kernels`, GFLOP/s against the FMA ceiling of the same run.

override WG: u32 = 64;
override A_STEPS: bool = false;
override B_STEPS: bool = true;

// Of the contraction, staged at a time.
const STEPS = 16u;
// In vec4s.
const TILE_COLUMNS = 16u;

struct Params {
  m: u32,
  n4: u32,
  k: u32,
  // Of a row of a and of b, in vec4s.
  a_row: u32,
  b_row: u32,
  // In vec4s from one batch entry to the next; 0 where an operand is shared by all.
  a_stride: u32,
  b_stride: u32,
  chunk: u32,
  chunks: u32,
  // As in matmul.wgsl.
  epilogue: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read> residual: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

// By steps: the tile's WG / 4 quads of rows, and its 16 quads of columns.
var<workgroup> tile_a: array<vec4f, STEPS * WG / 4>;
var<workgroup> tile_b: array<vec4f, STEPS * TILE_COLUMNS>;

// Steps past the end count as zeros, of both operands: what lies there may be infinite.
fn until(end: u32, k: u32, block: mat4x4f) -> mat4x4f {
  return mat4x4f(
    select(vec4f(), block[0], k < end),
    select(vec4f(), block[1], k + 1u < end),
    select(vec4f(), block[2], k + 2u < end),
    select(vec4f(), block[3], k + 3u < end),
  );
}

// Four steps from k on of four rows of a. Rows past the last one repeat it; they are not stored.
fn block_a(base: u32, quad: u32, k: u32) -> mat4x4f {
  let stride = params.a_row;
  if A_STEPS {
    let i = base + k * stride + min(quad, stride - 1u);
    return mat4x4f(a[i], a[i + stride], a[i + 2u * stride], a[i + 3u * stride]);
  }
  let i = base + k / 4u;
  let row = 4u * quad;
  let last = params.m - 1u;
  return transpose(mat4x4f(
    a[i + min(row, last) * stride],
    a[i + min(row + 1u, last) * stride],
    a[i + min(row + 2u, last) * stride],
    a[i + min(row + 3u, last) * stride],
  ));
}

// Four steps from k on of four columns of b.
fn block_b(base: u32, quad: u32, k: u32) -> mat4x4f {
  let stride = params.b_row;
  let column = min(quad, params.n4 - 1u);
  let i = base + select(4u * column * stride + k / 4u, k * stride + column, B_STEPS);
  let block = mat4x4f(
    load_weight(i),
    load_weight(i + stride),
    load_weight(i + 2u * stride),
    load_weight(i + 3u * stride),
  );
  if B_STEPS { return block; }
  return transpose(block);
}

fn store(z: u32, row: u32, column: u32, sum: vec4f) {
  let index = (z * params.m + row) * params.n4 + column;
  var y = sum;
  if (params.epilogue & 1u) != 0u { y += bias[column]; }
  y = activate(params.epilogue >> 2u, y);
  if (params.epilogue & 2u) != 0u { y += residual[index]; }
  out[index] = y;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let batch = group.z / params.chunks;
  let start = group.z % params.chunks * params.chunk;
  let end = min(start + params.chunk, params.k);
  let quads = WG / 4u;
  let first_row = group.y * quads;
  let first_column = group.x * TILE_COLUMNS;
  // An invocation's outputs are two quads of rows by two of columns, half a tile apart: so neighbours read neighbouring
  // vec4s of tile_b, which lie in different banks, and the same ones of tile_a.
  let i = local / 8u;
  let j = local % 8u;
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  var t0 = vec4f(); var t1 = vec4f(); var t2 = vec4f(); var t3 = vec4f();
  var t4 = vec4f(); var t5 = vec4f(); var t6 = vec4f(); var t7 = vec4f();
  for (var k = start; k < end; k += STEPS) {
    workgroupBarrier(); // the previous steps have been read
    let row = local % quads;
    let step_a = local / quads * 4u;
    let x = until(end, k + step_a, block_a(batch * params.a_stride, first_row + row, k + step_a));
    tile_a[step_a * quads + row] = x[0];
    tile_a[(step_a + 1u) * quads + row] = x[1];
    tile_a[(step_a + 2u) * quads + row] = x[2];
    tile_a[(step_a + 3u) * quads + row] = x[3];
    // 64 blocks, also for 128 invocations.
    if local < 4u * TILE_COLUMNS {
      let column = local % TILE_COLUMNS;
      let step_b = local / TILE_COLUMNS * 4u;
      let w = until(end, k + step_b, block_b(batch * params.b_stride, first_column + column, k + step_b));
      tile_b[step_b * TILE_COLUMNS + column] = w[0];
      tile_b[(step_b + 1u) * TILE_COLUMNS + column] = w[1];
      tile_b[(step_b + 2u) * TILE_COLUMNS + column] = w[2];
      tile_b[(step_b + 3u) * TILE_COLUMNS + column] = w[3];
    }
    workgroupBarrier();
    for (var step = 0u; step < STEPS; step++) {
      let x0 = tile_a[step * quads + i];
      let x1 = tile_a[step * quads + quads / 2u + i];
      let w0 = tile_b[step * TILE_COLUMNS + j];
      let w1 = tile_b[step * TILE_COLUMNS + 8u + j];
      s0 = fma(vec4f(x0.x), w0, s0);
      s1 = fma(vec4f(x0.y), w0, s1);
      s2 = fma(vec4f(x0.z), w0, s2);
      s3 = fma(vec4f(x0.w), w0, s3);
      s4 = fma(vec4f(x1.x), w0, s4);
      s5 = fma(vec4f(x1.y), w0, s5);
      s6 = fma(vec4f(x1.z), w0, s6);
      s7 = fma(vec4f(x1.w), w0, s7);
      t0 = fma(vec4f(x0.x), w1, t0);
      t1 = fma(vec4f(x0.y), w1, t1);
      t2 = fma(vec4f(x0.z), w1, t2);
      t3 = fma(vec4f(x0.w), w1, t3);
      t4 = fma(vec4f(x1.x), w1, t4);
      t5 = fma(vec4f(x1.y), w1, t5);
      t6 = fma(vec4f(x1.z), w1, t6);
      t7 = fma(vec4f(x1.w), w1, t7);
    }
  }
  // A loop keeps the epilogue's code small, which SwiftShader takes seconds to compile otherwise. Should an array that it
  // indexes leave the registers, that is 256 bytes an invocation once.
  var sums = array(s0, s1, s2, s3, s4, s5, s6, s7, t0, t1, t2, t3, t4, t5, t6, t7);
  for (var e = 0u; e < 16u; e++) {
    let row = 4u * (first_row + e / 4u % 2u * (quads / 2u) + i) + e % 4u;
    let column = first_column + e / 8u * 8u + j;
    if row < params.m && column < params.n4 { store(group.z, row, column, sums[e]); }
  }
}
