// A conversion, four elements an invocation. The prelude says from what to what: `From` and `To` are four elements
// as they are stored, and `convert` turns one into the other. f16 values are halves of words, so no optional
// feature is needed.
//
// Layout   any shape; buffers are padded to whole vec4s.
// Cost     6 bytes an element with f16, 8 without.

override WG: u32 = 64;

struct Params {
  vec4s: u32,
}

@group(0) @binding(0) var<storage, read> x: array<From>;
@group(0) @binding(1) var<storage, read_write> out: array<To>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); i < params.vec4s; i += linear_step(groups, WG)) {
    out[i] = convert(x[i]);
  }
}
