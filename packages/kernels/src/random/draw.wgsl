// A draw of random numbers: raw bits, uniform, normal, or whole numbers below a bound. Element i is made from
// word i of the stream (normals: elements 2p and 2p + 1 from words 2p and 2p + 1).
//
// Layout   out is any shape, as vec4s of the element type's bits; buffers are padded to whole vec4s.
// Cost     4 bytes an element; two threefry blocks for four elements.

override WG: u32 = 64;
override KIND: u32 = 0;

struct Params {
  vec4s: u32,
  stream: u32,
  key: vec2u,
  // Uniform: low and high. Normal: mean and standard deviation.
  a: f32,
  b: f32,
  // Whole numbers: low, and how many there are.
  low: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<vec4u>;
@group(1) @binding(0) var<uniform> params: Params;

fn uniform_in_range(bits: vec4u) -> vec4f {
  let y = params.a + (params.b - params.a) * unit_uniform(bits);
  // The sum may round up to the end of the half-open range.
  return select(y, vec4f(params.a), y >= vec4f(params.b));
}

// Box-Muller: radius √(2·exponential), angle uniform.
fn normal(bits: vec4u) -> vec4f {
  let radius = sqrt(2.0 * exponential(bits).xz);
  let wave = sincos4(6.283185307179586 * unit_uniform(bits).yyww);
  return vec4f(wave.cos.x, wave.sin.y, wave.cos.z, wave.sin.w) * radius.xxyy;
}

// The upper 32 bits of bits·count, by 16-bit halves: a whole number below count.
fn scale_to(bits: vec4u, count: u32) -> vec4u {
  let n = vec2u(count & 0xffffu, count >> 16u);
  let low = bits & vec4u(0xffffu);
  let high = bits >> vec4u(16u);
  let cross = high * n.x + ((low * n.x) >> vec4u(16u));
  let other = low * n.y + (cross & vec4u(0xffffu));
  return high * n.y + (cross >> vec4u(16u)) + (other >> vec4u(16u));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let quad = linear_index(group, groups, local, WG);
  if quad >= params.vec4s { return; }
  let bits = random4(params.key, params.stream, quad);
  switch KIND {
    case 1u: { out[quad] = bitcast<vec4u>(uniform_in_range(bits)); }
    case 2u: { out[quad] = bitcast<vec4u>(params.a + params.b * normal(bits)); }
    case 3u: { out[quad] = params.low + scale_to(bits, params.count); }
    default: { out[quad] = bits; }
  }
}
