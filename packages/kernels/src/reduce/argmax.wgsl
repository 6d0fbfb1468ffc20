// Position of the first largest value along the middle dimension.
//
// Layout   x [outer,length,inner] f32, out [outer,inner] u32.
// Cost     Reads x once, one invocation a result.

override WG: u32 = 64;

struct Params {
  outer: u32,
  length: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG);
  if item >= params.outer * params.inner { return; }
  let base = item / params.inner * params.length * params.inner + item % params.inner;
  var best = x[base];
  var position = 0u;
  for (var j = 1u; j < params.length; j++) {
    let value = x[base + j * params.inner];
    if value > best {
      best = value;
      position = j;
    }
  }
  out[item] = position;
}
