// One value everywhere.
//
// Layout   out is any shape of 4-byte elements, as vec4s of their bits.
// Cost     4 bytes an element.

override WG: u32 = 64;

struct Params {
  vec4s: u32,
  bits: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<vec4u>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); i < params.vec4s; i += linear_step(groups, WG)) {
    out[i] = vec4u(params.bits);
  }
}
