// out[i] = condition[i] != 0 ? x[i] : other[i], bit for bit.
//
// Layout   all are u32 of one shape, read as vec4s; buffers are padded to whole vec4s.
// Cost     16 bytes an element.

override WG: u32 = 64;

struct Params {
  vec4s: u32,
}

@group(0) @binding(0) var<storage, read> condition: array<vec4u>;
@group(0) @binding(1) var<storage, read> x: array<vec4u>;
@group(0) @binding(2) var<storage, read> other: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4u>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); i < params.vec4s; i += linear_step(groups, WG)) {
    out[i] = select(other[i], x[i], condition[i] != vec4u());
  }
}
