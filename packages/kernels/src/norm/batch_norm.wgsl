// Normalises with given statistics: out = (x - mean) / sqrt(variance + eps) · weight + bias.
//
// Layout   x and out [samples,positions,channels]; mean and variance [channels] (batch norm) or
//          [samples,channels] (instance norm); weight and bias [channels]. All lengths count Ts.
// Cost     Reads x once; one invocation a T.

override WG: u32 = 64;
override HAS_WEIGHT: bool = false;
override HAS_BIAS: bool = false;

struct Params {
  // Of one sample.
  sample: u32,
  channels: u32,
  // From one sample's statistics to the next's; 0 where all share them.
  stride: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read> mean: array<T>;
@group(0) @binding(2) var<storage, read> variance: array<T>;
@group(0) @binding(3) var<storage, read> weight: array<T>;
@group(0) @binding(4) var<storage, read> bias: array<T>;
@group(0) @binding(5) var<storage, read_write> out: array<T>;
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
    let c = w.channel;
    let s = group.z * params.stride + c;
    var y = (x[i] - mean[s]) / sqrt(variance[s] + params.eps);
    if HAS_WEIGHT { y *= weight[c]; }
    if HAS_BIAS { y += bias[c]; }
    out[i] = y;
  }
}
