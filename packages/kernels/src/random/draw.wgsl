// A draw of random numbers: raw bits, uniform, normal, or whole numbers below a bound. Element i (of its entry, see
// entries.wgsl) is made from word i of the stream (normals: elements 2p and 2p + 1 from words 2p and 2p + 1).
//
// Layout   out is any shape, as vec4s of the element type's bits; buffers are padded to whole vec4s.
// Cost     4 bytes an element; two threefry blocks for four elements, three with entries, and twelve with entries
//          that are no whole vec4s.

override WG: u32 = 64;
override KIND: u32 = 0;
// Entries that are no whole vec4s.
override RAGGED: bool = false;

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
  // Which entries there are, and the elements of one.
  first: u32,
  step: u32,
  entry_size: u32,
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

// Elements 4·quad to 4·quad + 3 of an entry.
fn draw4(key: vec2u, quad: u32) -> vec4u {
  let bits = random4(key, params.stream, quad);
  switch KIND {
    case 1u: { return bitcast<vec4u>(uniform_in_range(bits)); }
    case 2u: { return bitcast<vec4u>(params.a + params.b * normal(bits)); }
    case 3u: { return params.low + scale_to(bits, params.count); }
    default: { return bits; }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let quad = linear_index(group, groups, local, WG);
  if quad >= params.vec4s { return; }
  var drawn = vec4u();
  if RAGGED {
    for (var lane = 0u; lane < 4u; lane++) {
      let element = 4u * quad + lane;
      let i = element % params.entry_size;
      drawn[lane] = draw4(entry_key(element / params.entry_size), i / 4u)[i % 4u];
    }
  } else {
    let quads = (params.entry_size + 3u) / 4u;
    let entry = select(0u, quad / quads, ENTRIES);
    drawn = draw4(entry_key(entry), quad - entry * quads);
  }
  out[quad] = drawn;
}
