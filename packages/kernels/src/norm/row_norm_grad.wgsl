// The gradient of row_norm.wgsl with respect to x, with g = dy·weight and x̂ the normalised x:
// dx = factor · (g − mean(g) − x̂·mean(g·x̂)), without the first mean for RMS norm. With params.product, also dy·x̂,
// whose sum over rows is the weight's gradient.
//
// Layout   x, dy, dx and product [rows,length]; weight [length], or one number; length counts Ts.
// Cost     Four passes over a row, of which the later ones find it in the cache. Mean and variance are computed
//          again: storing them in the forward pass would cost a binding and save little.

struct Params {
  rows: u32,
  length: u32,
  // 1 / number of channels
  mean: f32,
  eps: f32,
  // 1: layer norm, 0: RMS norm.
  center: u32,
  // 0: none, 1: one for each channel, 2: one for all.
  weight: u32,
  product: u32,
}

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read> weight: array<T>;
@group(0) @binding(2) var<storage, read> dy: array<T>;
@group(0) @binding(3) var<storage, read_write> dx: array<T>;
@group(0) @binding(4) var<storage, read_write> product: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

fn weighted(i: u32, c: u32) -> T {
  if params.weight == 1u { return dy[i] * weight[c]; }
  if params.weight == 2u { return dy[i] * one_of(weight[0]); }
  return dy[i];
}

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

  var sum = T();
  for (var c = member; c < params.length; c += TEAM) { sum += x[base + c]; }
  let mean = team_sum(local, lanes_sum(sum)) * params.mean * f32(params.center);
  var squares = T();
  for (var c = member; c < params.length; c += TEAM) {
    let d = x[base + c] - mean;
    squares += d * d;
  }
  let factor = 1.0 / sqrt(team_sum(local, lanes_sum(squares)) * params.mean + params.eps);

  var plain = T();
  var along = T();
  for (var c = member; c < params.length; c += TEAM) {
    let g = weighted(base + c, c);
    plain += g;
    along += g * ((x[base + c] - mean) * factor);
  }
  let shift = team_sum(local, lanes_sum(plain)) * params.mean * f32(params.center);
  let slope = team_sum(local, lanes_sum(along)) * params.mean;

  if item >= params.rows { return; }
  for (var c = member; c < params.length; c += TEAM) {
    let normalised = (x[base + c] - mean) * factor;
    dx[base + c] = factor * (weighted(base + c, c) - shift - normalised * slope);
    if params.product == 1u { product[base + c] = dy[base + c] * normalised; }
  }
}
