// Copies between two strided views of one shape: permute, slice, concatenation, pixel shuffle.
//
// Layout   x and out are words of 4 bytes, or vec4s of them where the host found runs of four; `Word` says
//          which. The view has up to six dimensions, the last four in `shape`. Bits are copied, so the
//          element type does not matter.
// Needs    The host folds neighbouring dimensions together; DEEP where more than four are left.
// Cost     8 bytes an element.
//
// Strided copies are rare (activations stay channels last), and a division costs less than a cache miss:
// no workgroup memory here.

override WG: u32 = 64;
override DEEP: bool = false;

struct Params {
  shape: vec4u,
  from_strides: vec4u,
  to_strides: vec4u,
  outer_shape: vec2u,
  outer_from_strides: vec2u,
  outer_to_strides: vec2u,
  from_offset: u32,
  to_offset: u32,
  size: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Word>;
@group(0) @binding(1) var<storage, read_write> out: array<Word>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); i < params.size; i += linear_step(groups, WG)) {
    let s = params.shape;
    var at = vec4u(0u, 0u, 0u, i);
    // Divisions take a processor longer than all the rest, and a view of one dimension needs none.
    if s.w < params.size {
      let rest = i / (s.w * s.z);
      at = vec4u(rest / s.y, rest % s.y, i / s.w % s.z, i % s.w);
    }
    var source = params.from_offset;
    var target_index = params.to_offset;
    if DEEP {
      let outer = at.x / s.x;
      at.x %= s.x;
      let outer_at = vec2u(outer / params.outer_shape.y, outer % params.outer_shape.y);
      source += dot(outer_at, params.outer_from_strides);
      target_index += dot(outer_at, params.outer_to_strides);
    }
    out[target_index + dot(at, params.to_strides)] = x[source + dot(at, params.from_strides)];
  }
}
