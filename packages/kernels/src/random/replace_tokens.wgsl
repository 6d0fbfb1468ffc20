// Random replacement: with u uniform in (0, 1], where u <= t the replacement is taken and mask is 1, elsewhere
// the token is kept and mask is 0. So t = 0 replaces nothing and t = 1 everything.
//
// Layout   tokens, replacement, out and mask are [samples, …], u32, read as vec4s; buffers are padded to whole
//          vec4s. t is [samples] if PER_SAMPLE, otherwise a parameter. Element i (of its entry, see entry_bits.wgsl)
//          draws word i of the stream.
// Cost     16 bytes an element.

override WG: u32 = 64;
override PER_SAMPLE: bool = false;

struct Params {
  vec4s: u32,
  stream: u32,
  key: vec2u,
  // Elements of a sample, and the index of the last sample.
  sample_size: u32,
  last_sample: u32,
  t: f32,
  // Which entries there are, and the elements of one.
  first: u32,
  step: u32,
  entry_size: u32,
}

@group(0) @binding(0) var<storage, read> tokens: array<vec4u>;
@group(0) @binding(1) var<storage, read> replacement: array<vec4u>;
@group(0) @binding(2) var<storage, read> t: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> mask: array<vec4u>;
@group(1) @binding(0) var<uniform> params: Params;

fn threshold(element: u32) -> f32 {
  if PER_SAMPLE { return t[min(element / params.sample_size, params.last_sample)]; }
  return params.t;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let quad = linear_index(group, groups, local, WG);
  if quad >= params.vec4s { return; }
  let i = 4u * quad;
  let limit = vec4f(threshold(i), threshold(i + 1u), threshold(i + 2u), threshold(i + 3u));
  let chosen = unit_uniform(bits_at(quad)) + 0x1p-24 <= limit;
  out[quad] = select(tokens[quad], replacement[quad], chosen);
  mask[quad] = select(vec4u(0u), vec4u(1u), chosen);
}
