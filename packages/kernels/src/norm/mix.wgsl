// Adds two tensors, each scaled by channel and sample: out = a·f₀ + b·f₁.
//
// Layout   a, b and out [samples,positions,channels]; factors [samples,2·channels], f₀ first; lengths count Ts.
// Cost     12 bytes an element; one invocation a T.

override WG: u32 = 64;

struct Params {
  size: u32,
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
  let i = linear_index(group, groups, local, WG);
  if i >= params.size { return; }
  let f = i / params.sample * 2u * params.channels + i % params.channels;
  out[i] = a[i] * factors[f] + b[i] * factors[f + params.channels];
}
