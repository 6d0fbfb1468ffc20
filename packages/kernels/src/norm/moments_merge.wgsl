// Joins the means and variances of chunks to those of the whole: the mean of means weighted by length, and
// the mean of (variance + squared distance of the chunk's mean to the whole's).
//
// Layout   means and variances [samples,chunks,channels]; mean and variance, out [samples,channels];
//          channels count Ts. Chunks have `chunk` positions, the last one what is left of `positions`.
// Cost     Reads means twice, variances once.

override WG: u32 = 64;

struct Params {
  samples: u32,
  positions: u32,
  channels: u32,
  chunks: u32,
  chunk: u32,
}

@group(0) @binding(0) var<storage, read> means: array<T>;
@group(0) @binding(1) var<storage, read> variances: array<T>;
@group(0) @binding(2) var<storage, read_write> mean: array<T>;
@group(0) @binding(3) var<storage, read_write> variance: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

fn share_of(chunk: u32) -> f32 {
  return f32(min(params.chunk, params.positions - chunk * params.chunk)) / f32(params.positions);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG);
  if item >= params.samples * params.channels { return; }
  let base = item / params.channels * params.chunks * params.channels + item % params.channels;
  var m = T();
  for (var i = 0u; i < params.chunks; i++) { m += share_of(i) * means[base + i * params.channels]; }
  var v = T();
  for (var i = 0u; i < params.chunks; i++) {
    let d = means[base + i * params.channels] - m;
    v += share_of(i) * (variances[base + i * params.channels] + d * d);
  }
  mean[item] = m;
  variance[item] = v;
}
