// Dense convolution, and its transpose, as an implicit matrix product: nothing is unfolded in memory.
//
// Layout   x [b,h,w,ci], weight [kh,kw,ci,co], bias [co], out [b,oh,ow,co], channels last, all f32. Vectors
//          of a width and a height are in that order.
// Needs    ci and co divisible by 4.
// Cost     2·b·oh·ow·kh·kw·ci·co FLOPs (transposed: h·w for oh·ow). An invocation computes 4 pixels × 8
//          channels and, for every tap and every 4 input channels, loads 4 vec4s of x and 8 of weight for
//          32 vec4 FMAs: what matmul.wgsl does, with a row of its left matrix found anew for every tap.
//          Finding rows is what a tile of fewer pixels and more channels saves.
//
// Transposed: output pixels whose coordinates agree modulo the stride form a phase. All of a phase see the
// same taps, every stride-th one, so each phase is an ordinary stride-1 convolution that walks its input
// backwards; group.z counts phases. No output is written twice.

override WG: u32 = 64;
override HAS_BIAS: bool = false;

struct Params {
  size: vec2u,
  out_size: vec2u,
  // Output pixels of one phase; the whole output unless transposed.
  grid: vec2u,
  kernel: vec2u,
  stride: u32,
  padding: u32,
  images: u32,
  // Tiles of four pixels in the grids of all images.
  pixel_tiles: u32,
  k4: u32,
  n4: u32,
  // 1 or 0. No pipeline constants: they are asked once a tap, and one pipeline compiles once.
  replicate: u32,
  transposed: u32,
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

// Column, row and image of a pixel of the grid; `following` is the next one in reading order, without divisions.
fn position_of(pixel: u32) -> vec3u {
  let row = pixel / params.grid.x;
  return vec3u(pixel % params.grid.x, row % params.grid.y, row / params.grid.y);
}

fn following(p: vec3u) -> vec3u {
  let next_row = p.x + 1u == params.grid.x;
  let y = p.y + select(0u, 1u, next_row);
  let next_image = y == params.grid.y;
  return vec3u(select(p.x + 1u, 0u, next_row), select(y, 0u, next_image), p.z + select(0u, 1u, next_image));
}

// The tile at the end may reach into images that do not exist: it reads the last one, and stores nothing.
fn corner(p: vec3u, origin: vec2i) -> Corner {
  let step = select(params.stride, 1u, params.transposed == 1u);
  let image = min(p.z, params.images - 1u) * params.size.x * params.size.y;
  return Corner(vec2i(p.xy * step) + origin, image);
}

// The clamped address serves both paddings: replication reads it, zero padding only stays in bounds.
fn source(c: Corner, tap: vec2i) -> Source {
  let wanted = select(c.at + tap, c.at - tap, params.transposed == 1u);
  let at = clamp(wanted, vec2i(), vec2i(params.size) - 1);
  let index = (c.image + u32(at.y) * params.size.x + u32(at.x)) * params.k4;
  return Source(index, params.replicate == 1u || all(at == wanted));
}

fn load(s: Source, k: u32) -> vec4f {
  return select(vec4f(), x[s.index + k], s.inside);
}

fn store(p: vec3u, phase: vec2u, column: u32, sum: vec4f, partner_sum: vec4f) {
  let step = select(1u, params.stride, params.transposed == 1u);
  let at = p.xy * step + phase;
  if p.z >= params.images || any(at >= params.out_size) { return; }
  let index = (p.z * params.out_size.y + at.y) * params.out_size.x + at.x;
  let i = index * params.n4 + column;
  out[i] = sum;
  if column + 1u < params.n4 { out[i + 1u] = partner_sum; }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = linear_index(group, groups, local, WG);
  // Neighbouring invocations share their pixels and differ in the columns of the weight.
  let column_tiles = (params.n4 + 1u) / 2u;
  let column = tile % column_tiles * 2u;
  let pixel_tile = tile / column_tiles;
  if pixel_tile >= params.pixel_tiles { return; }
  // An odd number of vec4s leaves the last column without a partner: it is computed twice and stored once.
  let partner = min(1u, params.n4 - 1u - column);

  var phase = vec2u();
  var origin = vec2i(-i32(params.padding));
  var first_tap = vec2u();
  var tap_step = 1u;
  if params.transposed == 1u {
    phase = vec2u(group.z % params.stride, group.z / params.stride);
    origin = vec2i((phase + params.padding) / params.stride);
    first_tap = (phase + params.padding) % params.stride;
    tap_step = params.stride;
  }

  let p0 = position_of(pixel_tile * 4u);
  let p1 = following(p0);
  let p2 = following(p1);
  let p3 = following(p2);
  let c0 = corner(p0, origin);
  let c1 = corner(p1, origin);
  let c2 = corner(p2, origin);
  let c3 = corner(p3, origin);
  var s0 = vec4f(); var t0 = vec4f();
  if HAS_BIAS {
    s0 = bias[column];
    t0 = bias[column + partner];
  }
  var s1 = s0; var s2 = s0; var s3 = s0;
  var t1 = t0; var t2 = t0; var t3 = t0;
  var tap = vec2i();
  for (var ky = first_tap.y; ky < params.kernel.y; ky += tap_step) {
    tap.x = 0;
    for (var kx = first_tap.x; kx < params.kernel.x; kx += tap_step) {
      let x0 = source(c0, tap);
      let x1 = source(c1, tap);
      let x2 = source(c2, tap);
      let x3 = source(c3, tap);
      var j = (ky * params.kernel.x + kx) * 4u * params.k4 * params.n4 + column;
      for (var k = 0u; k < params.k4; k++) {
        let a0 = load(x0, k);
        let a1 = load(x1, k);
        let a2 = load(x2, k);
        let a3 = load(x3, k);
        let b0 = weight[j];
        let b1 = weight[j + params.n4];
        let b2 = weight[j + 2u * params.n4];
        let b3 = weight[j + 3u * params.n4];
        s0 = rank4(a0, b0, b1, b2, b3, s0);
        s1 = rank4(a1, b0, b1, b2, b3, s1);
        s2 = rank4(a2, b0, b1, b2, b3, s2);
        s3 = rank4(a3, b0, b1, b2, b3, s3);
        let i = j + partner;
        let d0 = weight[i];
        let d1 = weight[i + params.n4];
        let d2 = weight[i + 2u * params.n4];
        let d3 = weight[i + 3u * params.n4];
        t0 = rank4(a0, d0, d1, d2, d3, t0);
        t1 = rank4(a1, d0, d1, d2, d3, t1);
        t2 = rank4(a2, d0, d1, d2, d3, t2);
        t3 = rank4(a3, d0, d1, d2, d3, t3);
        j += 4u * params.n4;
      }
      tap.x++;
    }
    tap.y++;
  }
  store(p0, phase, column, s0, t0);
  store(p1, phase, column, s1, t1);
  store(p2, phase, column, s2, t2);
  store(p3, phase, column, s3, t3);
}
