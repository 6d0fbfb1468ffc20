// An elementwise function of two tensors of one shape, or of a tensor and a number.
//
// Layout   a, b and out have one shape, read as vec4s; buffers are padded to whole vec4s.
// Cost     12 bytes an element, 8 with a number.

override WG: u32 = 64;
// Of combine.wgsl.
override OP: u32 = 0;

struct Params {
  vec4s: u32,
  // 1: b is the number.
  has_scalar: u32,
  scalar: f32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); i < params.vec4s; i += linear_step(groups, WG)) {
    var y = vec4f(params.scalar);
    if params.has_scalar == 0u { y = b[i]; }
    out[i] = combine(OP, a[i], y);
  }
}
