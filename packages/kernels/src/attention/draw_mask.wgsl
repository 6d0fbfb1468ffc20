// The mask of attention's dropout: bit i is set, with probability 1 − p, where number i of a random stream, uniform in
// [0,1), is at least p. One invocation a word.
//
// Layout   out [words] u32, as mask.wgsl reads it; the lowest bit comes first.
// Cost     16 threefry blocks a word.

override WG: u32 = 64;

struct Params {
  words: u32,
  stream: u32,
  key: vec2u,
  p: f32,
}

@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(group, groups, local, WG);
  if i >= params.words { return; }
  var word = 0u;
  for (var quad = 0u; quad < 8u; quad++) {
    let keep = unit_uniform(random4(params.key, params.stream, 8u * i + quad)) >= vec4f(params.p);
    let bits = select(vec4u(), vec4u(1u, 2u, 4u, 8u), keep);
    word |= (bits.x | bits.y | bits.z | bits.w) << (4u * quad);
  }
  out[i] = word;
}
