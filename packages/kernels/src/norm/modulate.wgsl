// Scales and shifts each sample's channels: out = x · (1 + a) + b.
//
// Layout   x and out [samples,positions,channels]; scale_shift [samples,2·channels], a first, then b; lengths
//          count Ts.
// Cost     Reads x once; one invocation a T.

override WG: u32 = 64;

struct Params {
  // Of one sample of x.
  sample: u32,
  channels: u32,
  // From one sample's scale_shift to the next's; 0 where all share it.
  stride: u32,
  // 0: leaves b out.
  shift: u32,
}

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read> scale_shift: array<T>;
@group(0) @binding(2) var<storage, read_write> out: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  var w = walk(linear_index(group, groups, local, WG), linear_step(groups, WG), params.channels);
  for (; w.at < params.sample; w = next(w, params.channels)) {
    let i = group.z * params.sample + w.at;
    let a = group.z * params.stride + w.channel;
    var y = x[i] * (1.0 + scale_shift[a]);
    if params.shift == 1u { y += scale_shift[a + params.channels]; }
    out[i] = y;
  }
}
