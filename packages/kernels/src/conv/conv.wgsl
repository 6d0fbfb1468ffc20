// Dense convolution, and its transpose, as an implicit matrix product: nothing is unfolded in memory.
//
// Layout   x [b,h,w,ci], weight [kh,kw,ci,co], bias [co], out [b,oh,ow,co], channels last, all f32. Vectors
//          of a width and a height are in that order.
// Needs    ci and co divisible by 4.
// Cost     2·b·oh·ow·kh·kw·ci·co FLOPs (transposed: h·w for oh·ow). An invocation computes 8 pixels × 4
//          channels and, for every tap and every 4 input channels, loads 8 vec4s of x and 4 of weight for
//          32 vec4 FMAs: what matmul.wgsl does, with a row of its left matrix found anew for every tap.
//
// Transposed: output pixels whose coordinates agree modulo the stride form a phase. All of a phase see the
// same taps, every stride-th one, so each phase is an ordinary stride-1 convolution that walks its input
// backwards; group.z counts phases. No output is written twice.

override WG: u32 = 64;
override HAS_BIAS: bool = false;
override REPLICATE: bool = false;
override TRANSPOSED: bool = false;

struct Params {
  size: vec2u,
  out_size: vec2u,
  // Output pixels of one phase; the whole output unless transposed.
  grid: vec2u,
  kernel: vec2u,
  stride: u32,
  padding: u32,
  // grid × images
  pixels: u32,
  k4: u32,
  n4: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

// The input position that an output pixel's first tap sees, and where its image begins, in pixels.
struct Corner {
  at: vec2i,
  image: u32,
}

struct Source {
  index: u32,
  inside: bool,
}

fn grid_position(pixel: u32) -> vec3u {
  let row = pixel / params.grid.x;
  return vec3u(pixel % params.grid.x, row % params.grid.y, row / params.grid.y);
}

fn corner(pixel: u32, origin: vec2i) -> Corner {
  let position = grid_position(min(pixel, params.pixels - 1u));
  let step = select(params.stride, 1u, TRANSPOSED);
  return Corner(vec2i(position.xy * step) + origin, position.z * params.size.x * params.size.y);
}

// The clamped address serves both paddings: replication reads it, zero padding only stays in bounds.
fn source(c: Corner, tap: vec2i) -> Source {
  let wanted = select(c.at + tap, c.at - tap, TRANSPOSED);
  let at = clamp(wanted, vec2i(), vec2i(params.size) - 1);
  let index = (c.image + u32(at.y) * params.size.x + u32(at.x)) * params.k4;
  return Source(index, REPLICATE || all(at == wanted));
}

fn load(s: Source, k: u32) -> vec4f {
  return select(vec4f(), x[s.index + k], s.inside);
}

fn store(pixel: u32, phase: vec2u, column: u32, sum: vec4f) {
  if pixel >= params.pixels { return; }
  var index = pixel;
  if TRANSPOSED {
    let position = grid_position(pixel);
    let at = position.xy * params.stride + phase;
    if any(at >= params.out_size) { return; }
    index = (position.z * params.out_size.y + at.y) * params.out_size.x + at.x;
  }
  var y = sum;
  if HAS_BIAS { y += bias[column]; }
  out[index * params.n4 + column] = y;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = linear_index(group, groups, local, WG);
  // Neighbouring invocations share the columns of the weight and differ in their pixels.
  let pixel_tiles = (params.pixels + 7u) / 8u;
  let column = tile / pixel_tiles;
  let pixel = (tile % pixel_tiles) * 8u;
  if column >= params.n4 { return; }

  let phase = vec2u(group.z % params.stride, group.z / params.stride);
  var origin = vec2i(-i32(params.padding));
  var first_tap = vec2u();
  var tap_step = 1u;
  if TRANSPOSED {
    origin = vec2i((phase + params.padding) / params.stride);
    first_tap = (phase + params.padding) % params.stride;
    tap_step = params.stride;
  }

  let c0 = corner(pixel, origin);
  let c1 = corner(pixel + 1u, origin);
  let c2 = corner(pixel + 2u, origin);
  let c3 = corner(pixel + 3u, origin);
  let c4 = corner(pixel + 4u, origin);
  let c5 = corner(pixel + 5u, origin);
  let c6 = corner(pixel + 6u, origin);
  let c7 = corner(pixel + 7u, origin);
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  var tap = vec2i();
  for (var ky = first_tap.y; ky < params.kernel.y; ky += tap_step) {
    tap.x = 0;
    for (var kx = first_tap.x; kx < params.kernel.x; kx += tap_step) {
      let x0 = source(c0, tap);
      let x1 = source(c1, tap);
      let x2 = source(c2, tap);
      let x3 = source(c3, tap);
      let x4 = source(c4, tap);
      let x5 = source(c5, tap);
      let x6 = source(c6, tap);
      let x7 = source(c7, tap);
      var j = (ky * params.kernel.x + kx) * 4u * params.k4 * params.n4 + column;
      for (var k = 0u; k < params.k4; k++) {
        let b0 = weight[j];
        let b1 = weight[j + params.n4];
        let b2 = weight[j + 2u * params.n4];
        let b3 = weight[j + 3u * params.n4];
        j += 4u * params.n4;
        s0 = rank4(load(x0, k), b0, b1, b2, b3, s0);
        s1 = rank4(load(x1, k), b0, b1, b2, b3, s1);
        s2 = rank4(load(x2, k), b0, b1, b2, b3, s2);
        s3 = rank4(load(x3, k), b0, b1, b2, b3, s3);
        s4 = rank4(load(x4, k), b0, b1, b2, b3, s4);
        s5 = rank4(load(x5, k), b0, b1, b2, b3, s5);
        s6 = rank4(load(x6, k), b0, b1, b2, b3, s6);
        s7 = rank4(load(x7, k), b0, b1, b2, b3, s7);
      }
      tap.x++;
    }
    tap.y++;
  }
  store(pixel, phase, column, s0);
  store(pixel + 1u, phase, column, s1);
  store(pixel + 2u, phase, column, s2);
  store(pixel + 3u, phase, column, s3);
  store(pixel + 4u, phase, column, s4);
  store(pixel + 5u, phase, column, s5);
  store(pixel + 6u, phase, column, s6);
  store(pixel + 7u, phase, column, s7);
}
