// Mean and biased variance of every channel of a sample, over the positions of each chunk of it.
//
// Layout   x [samples,positions,channels]; mean and variance, out [samples,chunks,channels]; channels count
//          Ts.
// Cost     Reads x twice, the second time for the differences to the mean.

override WG: u32 = 64;

struct Params {
  samples: u32,
  positions: u32,
  channels: u32,
  chunks: u32,
  chunk: u32,
}

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read_write> mean: array<T>;
@group(0) @binding(2) var<storage, read_write> variance: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG);
  if item >= params.samples * params.chunks * params.channels { return; }
  let c = item % params.channels;
  let start = item / params.channels % params.chunks * params.chunk;
  let end = min(start + params.chunk, params.positions);
  let base = item / (params.channels * params.chunks) * params.positions * params.channels + c;
  let count = f32(end - start);
  var sum = T();
  for (var i = start; i < end; i++) { sum += x[base + i * params.channels]; }
  let m = sum / count;
  var squares = T();
  for (var i = start; i < end; i++) {
    let d = x[base + i * params.channels] - m;
    squares += d * d;
  }
  mean[item] = m;
  variance[item] = squares / count;
}
