// What a dense convolution by tiles asks about pixels and taps, forwards and transposed.
//
// Transposed: output pixels whose coordinates agree modulo the stride form a phase. All of a phase see the
// same taps, every stride-th one, so each phase is an ordinary stride-1 convolution that walks its input
// backwards; group.z counts phases. No output is written twice.

struct Params {
  size: vec2u,
  out_size: vec2u,
  // Output pixels of one phase; the whole output unless transposed.
  grid: vec2u,
  kernel: vec2u,
  stride: u32,
  padding: u32,
  images: u32,
  // Tiles of pixels in the grids of all images: of 4 in conv.wgsl, of 16 in conv_subgroup.wgsl.
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

// Where a grid's pixel is in the output, in vec4s; past the end, where it is in none.
fn target_of(p: vec3u, phase: vec2u) -> Source {
  let step = select(1u, params.stride, params.transposed == 1u);
  let at = p.xy * step + phase;
  let index = ((p.z * params.out_size.y + at.y) * params.out_size.x + at.x) * params.n4;
  return Source(index, p.z < params.images && all(at < params.out_size));
}

// The taps that a phase's pixels see, and where its first one lies.
struct Phase {
  at: vec2u,
  origin: vec2i,
  first_tap: vec2u,
  tap_step: u32,
}

fn phase_of(index: u32) -> Phase {
  if params.transposed == 0u { return Phase(vec2u(), vec2i(-i32(params.padding)), vec2u(), 1u); }
  let at = vec2u(index % params.stride, index / params.stride);
  let origin = vec2i((at + params.padding) / params.stride);
  return Phase(at, origin, (at + params.padding) % params.stride, params.stride);
}
