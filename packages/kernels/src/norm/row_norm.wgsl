// Layer norm, or RMS norm without CENTER, over the last dimension:
// out = (x - mean) / sqrt(variance + eps) · weight + bias, with the biased variance.
//
// Layout   x and out [rows,length]; weight and bias [length], or one number; length counts Ts.
// Cost     Three passes over a row, of which the last two find it in the cache. The variance is summed from
//          differences to the mean: E[x²] - E[x]² loses every digit when the mean is large.

override CENTER: bool = true;
// 0: none, 1: one for each channel, 2: one for all.
override WEIGHT: u32 = 0;
override BIAS: u32 = 0;

struct Params {
  rows: u32,
  length: u32,
  // 1 / number of channels
  mean: f32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read> weight: array<T>;
@group(0) @binding(2) var<storage, read> bias: array<T>;
@group(0) @binding(3) var<storage, read_write> out: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG) / TEAM;
  let row = min(item, params.rows - 1u);
  let base = row * params.length;
  let member = local % TEAM;

  var mean: S;
  if CENTER {
    var sum = T();
    for (var c = member; c < params.length; c += TEAM) { sum += x[base + c]; }
    mean = team_sum(local, lanes_sum(sum)) * params.mean;
  }
  var squares = T();
  for (var c = member; c < params.length; c += TEAM) {
    let d = x[base + c] - mean;
    squares += d * d;
  }
  let variance = team_sum(local, lanes_sum(squares)) * params.mean;
  let factor = 1.0 / sqrt(variance + params.eps);

  if item >= params.rows { return; }
  let shared_weight = one_of(weight[0]);
  let shared_bias = one_of(bias[0]);
  for (var c = member; c < params.length; c += TEAM) {
    var y = (x[base + c] - mean) * factor;
    if WEIGHT == 1u { y *= weight[c]; }
    if WEIGHT == 2u { y *= shared_weight; }
    if BIAS == 1u { y += bias[c]; }
    if BIAS == 2u { y += shared_bias; }
    out[base + c] = y;
  }
}
