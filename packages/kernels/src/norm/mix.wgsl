// Adds two tensors, each scaled by channel and sample: out = a·f₀ + b·f₁.
//
// Layout   a, b and out [samples,positions,channels]; factors [samples,2·channels], f₀ first; lengths count Ts.
// Cost     12 bytes an element; one invocation a T.

override WG: u32 = 64;

struct Params {
  // Of one sample.
  sample: u32,
  channels: u32,
}

@group(0) @binding(0) var<storage, read> a: array<T>;
@group(0) @binding(1) var<storage, read> b: array<T>;
@group(0) @binding(2) var<storage, read> factors: array<T>;
@group(0) @binding(3) var<storage, read_write> out: array<T>;
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
    let f = group.z * 2u * params.channels + w.channel;
    out[i] = a[i] * factors[f] + b[i] * factors[f + params.channels];
  }
}
