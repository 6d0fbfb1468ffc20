// A tile of a product for GPUs: 64 or 128 rows (as many as invocations) × 64 columns, of which an invocation sums 8 × 8 in
// registers while 16 steps of both operands lie in workgroup memory. A kernel stages blocks of four steps of four rows or
// columns, turned so that vec4s are neighbours across the contraction, and multiplies between two barriers.
//
// Needs    8 (12) KiB of workgroup memory, 64 (128) invocations: less than WebGPU guarantees.
// Memory   A tile reads (64 + 64)·4 bytes a step for 2·64·64 FLOPs: 16 FLOPs a byte (128 rows: 21). At 20 TFLOP/s that
//          is 1.0 to 1.3 TB/s, which caches must serve: workgroups that run at the same time share operands.
// Sharing  An invocation reads 64 bytes of workgroup memory a step for 128 FLOPs, 2 FLOPs a byte: the ratio of a GPU core
//          that multiplies 128 lanes and reads 128 bytes a clock; 8 × 4 outputs would have 1.3. Of the 64 bytes, half
//          are a broadcast: invocations of one row of the tile read the same address.
// Threads  64 registers of sums and about 48 more leave room for 4 workgroups of 128 invocations, or 8 of 64, on a core
//          with 64 Ki registers, in 48 to 64 KiB of workgroup memory. 64 independent FMAs a step hide the latency of
//          arithmetic by themselves; the other workgroups hide that of staging, so there is no second buffer.
// To check this on a GPU: `npm run bench -- --suite kernels`, GFLOP/s against the FMA ceiling of the same run.

override WG: u32 = 64;

// Of the contraction, staged at a time.
const STEPS = 16u;
// In vec4s.
const TILE_COLUMNS = 16u;

// By steps: the quads of WG rows, and the 16 vec4s of columns.
var<workgroup> tile_a: array<vec4f, STEPS * WG / 4>;
var<workgroup> tile_b: array<vec4f, STEPS * TILE_COLUMNS>;

// Eight rows by two vec4s of columns. Written out, because not every compiler keeps an indexed array in registers.
struct Sums {
  s0: vec4f, s1: vec4f, s2: vec4f, s3: vec4f, s4: vec4f, s5: vec4f, s6: vec4f, s7: vec4f,
  t0: vec4f, t1: vec4f, t2: vec4f, t3: vec4f, t4: vec4f, t5: vec4f, t6: vec4f, t7: vec4f,
}

// First row and first vec4 of columns of a workgroup's tile, in a grid folded as linear_index wants: those past the last
// row are nobody's. Neighbours share their rows.
fn first_of(group: vec3u, groups: vec3u, n4: u32) -> vec2u {
  let columns = (n4 + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let tile = linear_index(group, groups, 0u, 1u);
  return vec2u(tile / columns * WG, tile % columns * TILE_COLUMNS);
}

// The block that an invocation stages: which quad of the tile's rows, and the first of its four steps. Neighbours stage
// neighbouring quads, whose vec4s lie in different banks.
fn block_of_a(local: u32) -> vec2u {
  return vec2u(local % (WG / 4u), local / (WG / 4u) * 4u);
}

// The same for columns. There are 64 blocks: past them, the steps are none of the 16.
fn block_of_b(local: u32) -> vec2u {
  return vec2u(local % TILE_COLUMNS, local / TILE_COLUMNS * 4u);
}

// The four vec4s of a block are its steps.
fn stage_a(at: vec2u, block: mat4x4f) {
  let i = at.y * (WG / 4u) + at.x;
  tile_a[i] = block[0];
  tile_a[i + WG / 4u] = block[1];
  tile_a[i + WG / 2u] = block[2];
  tile_a[i + WG / 4u * 3u] = block[3];
}

fn stage_b(at: vec2u, block: mat4x4f) {
  let i = at.y * TILE_COLUMNS + at.x;
  tile_b[i] = block[0];
  tile_b[i + TILE_COLUMNS] = block[1];
  tile_b[i + 2u * TILE_COLUMNS] = block[2];
  tile_b[i + 3u * TILE_COLUMNS] = block[3];
}

// An invocation's rows and columns are two quads each, half a tile apart: so neighbours read neighbouring vec4s of
// tile_b, and the same ones of tile_a.
fn multiply_staged(local: u32, sums: Sums) -> Sums {
  var s = sums;
  var i = local / 8u;
  var j = local % 8u;
  for (var step = 0u; step < STEPS; step++) {
    let x0 = tile_a[i];
    let x1 = tile_a[i + WG / 8u];
    let w0 = tile_b[j];
    let w1 = tile_b[j + TILE_COLUMNS / 2u];
    s.s0 = fma(vec4f(x0.x), w0, s.s0);
    s.s1 = fma(vec4f(x0.y), w0, s.s1);
    s.s2 = fma(vec4f(x0.z), w0, s.s2);
    s.s3 = fma(vec4f(x0.w), w0, s.s3);
    s.s4 = fma(vec4f(x1.x), w0, s.s4);
    s.s5 = fma(vec4f(x1.y), w0, s.s5);
    s.s6 = fma(vec4f(x1.z), w0, s.s6);
    s.s7 = fma(vec4f(x1.w), w0, s.s7);
    s.t0 = fma(vec4f(x0.x), w1, s.t0);
    s.t1 = fma(vec4f(x0.y), w1, s.t1);
    s.t2 = fma(vec4f(x0.z), w1, s.t2);
    s.t3 = fma(vec4f(x0.w), w1, s.t3);
    s.t4 = fma(vec4f(x1.x), w1, s.t4);
    s.t5 = fma(vec4f(x1.y), w1, s.t5);
    s.t6 = fma(vec4f(x1.z), w1, s.t6);
    s.t7 = fma(vec4f(x1.w), w1, s.t7);
    i += WG / 4u;
    j += TILE_COLUMNS;
  }
  return s;
}

// For the epilogue, which as a loop is little code: SwiftShader takes seconds to compile 16 copies. Should the array leave
// the registers there, that is 256 bytes an invocation, once.
fn outputs(s: Sums) -> array<vec4f, 16> {
  return array(s.s0, s.s1, s.s2, s.s3, s.s4, s.s5, s.s6, s.s7, s.t0, s.t1, s.t2, s.t3, s.t4, s.t5, s.t6, s.t7);
}

// Row and vec4 of columns in the tile of an invocation's output e.
fn output_at(local: u32, e: u32) -> vec2u {
  let quad = local / 8u + e / 4u % 2u * (WG / 8u);
  return vec2u(4u * quad + e % 4u, local % 8u + e / 8u * (TILE_COLUMNS / 2u));
}
