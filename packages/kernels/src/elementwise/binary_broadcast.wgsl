// An elementwise function of two tensors whose shapes broadcast against each other.
//
// Layout   The output has up to four dimensions; an operand's stride is 0 along those it repeats over.
// Needs    The host folds neighbouring dimensions together until four are left.
// Cost     Up to 12 bytes an element.

override WG: u32 = 64;
// Of combine.wgsl.
override OP: u32 = 0;

struct Params {
  shape: vec4u,
  a_strides: vec4u,
  b_strides: vec4u,
  size: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(group, groups, local, WG);
  if i >= params.size { return; }
  let s = params.shape;
  let at = vec4u(i / (s.w * s.z * s.y), i / (s.w * s.z) % s.y, i / s.w % s.z, i % s.w);
  let x = a[dot(at, params.a_strides)];
  let y = b[dot(at, params.b_strides)];
  out[i] = combine(OP, vec4f(x), vec4f(y)).x;
}
