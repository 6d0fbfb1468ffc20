// Softmax or log-softmax over the middle dimension:
// exp(x - m) / Σ exp(x - m), or x - m - log Σ exp(x - m), with m the largest x.
//
// Layout   x and out [outer,length,inner]; length and inner count Ts.
// Needs    At least one element to a row; mask with large finite values, not infinities.
// Cost     Three passes over a row, one exp an element: the exponentials wait in out for their sum.

override LOG: bool = false;

struct Params {
  outer: u32,
  length: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read_write> out: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG) / TEAM;
  let rows = params.outer * params.inner;
  let row = min(item, rows - 1u);
  let step = TEAM * params.inner;
  let start = row / params.inner * params.length * params.inner + row % params.inner;
  let first = start + local % TEAM * params.inner;
  let end = start + params.length * params.inner;
  // A surplus invocation repeats the last row up to the barriers, and writes nothing.
  let writes = item < rows;

  var top = x[start];
  for (var i = first; i < end; i += step) { top = max(top, x[i]); }
  let peak = team_max(local, lanes_max(top));

  var sum = T();
  for (var i = first; i < end; i += step) {
    let e = exp(x[i] - peak);
    sum += e;
    if !LOG && writes { out[i] = e; }
  }
  let total = team_sum(local, lanes_sum(sum));

  if !writes { return; }
  if LOG {
    // One after the other: their sum would lose the logarithm's bits where the peak is large.
    let shift = log(total);
    for (var i = first; i < end; i += step) { out[i] = (x[i] - peak) - shift; }
  } else {
    let factor = 1.0 / total;
    for (var i = first; i < end; i += step) { out[i] *= factor; }
  }
}
