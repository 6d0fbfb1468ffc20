// Dropout: out[i] = x[i] · scale where word i of a random stream (of its entry, see entry_bits.wgsl) says to keep it,
// else 0. Its gradient is the same launch on dy: the words are drawn again, nothing is stored.
//
// Layout   x and out are any shape, read as vec4s; buffers are padded to whole vec4s.
// Cost     8 bytes an element, and its word.

override WG: u32 = 64;

struct Params {
  vec4s: u32,
  stream: u32,
  key: vec2u,
  // An element is kept where its uniform number is at least this.
  p: f32,
  scale: f32,
  // Which entries there are, and the elements of one.
  first: u32,
  step: u32,
  entry_size: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); i < params.vec4s; i += linear_step(groups, WG)) {
    let keep = unit_uniform(bits_at(i)) >= vec4f(params.p);
    out[i] = select(vec4f(), params.scale * x[i], keep);
  }
}
