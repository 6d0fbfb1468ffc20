// f32 → f16, rounded to nearest, four elements an invocation. f16 values are halves of words: no optional feature.
//
// Layout   any shape; buffers are padded to whole vec4s.
// Cost     6 bytes an element.

override WG: u32 = 64;

struct Params {
  vec4s: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec2u>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(group, groups, local, WG);
  if i < params.vec4s {
    let v = x[i];
    out[i] = vec2u(pack2x16float(v.xy), pack2x16float(v.zw));
  }
}
