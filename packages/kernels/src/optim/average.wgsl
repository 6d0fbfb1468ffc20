// Moves an average towards values, or exchanges the two.
//   average += rate·(value − average), or value ↔ average with EXCHANGE.
//
// Layout   both are flat; `count` vec4s.
// Cost     12 bytes a number, 16 to exchange.

override WG: u32 = 64;
override EXCHANGE: bool = false;

struct Params {
  count: u32,
  rate: f32,
}

@group(0) @binding(0) var<storage, read_write> average: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> value: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); i < params.count; i += linear_step(groups, WG)) {
    let a = average[i];
    let x = value[i];
    if EXCHANGE {
      average[i] = x;
      value[i] = a;
    } else {
      average[i] = a + params.rate * (x - a);
    }
  }
}
