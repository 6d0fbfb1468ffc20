// Cross-entropy of stored logits with label smoothing s, row by row:
// out = log Σ exp(x) − (1 − s)·x[target] − s·mean(x).
//
// Layout   x [rows,length], counted in Ts; picked is the same buffer, number by number; target and out [rows].
// Needs    At least one class. A target past the end counts as the last class.
// Cost     Two passes over a row, one exp an element.

struct Params {
  rows: u32,
  // In Ts, and in numbers.
  length: u32,
  classes: u32,
  smoothing: f32,
}

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read> picked: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG) / TEAM;
  // A surplus invocation repeats the last row up to the barriers, and writes nothing.
  let row = min(item, params.rows - 1u);
  let start = row * params.length;
  let first = start + local % TEAM;
  let end = start + params.length;

  var top = x[start];
  for (var i = first; i < end; i += TEAM) { top = max(top, x[i]); }
  let peak = team_max(local, lanes_max(top));

  // Differences to the largest logit, so that neither sum loses digits to it.
  var exponentials = T();
  var differences = T();
  for (var i = first; i < end; i += TEAM) {
    let difference = x[i] - peak;
    exponentials += exp(difference);
    differences += difference;
  }
  let total = team_sum(local, lanes_sum(exponentials));
  let mean = team_sum(local, lanes_sum(differences)) / f32(params.classes);

  if item >= params.rows || local % TEAM != 0u { return; }
  let label = min(labels[row], params.classes - 1u);
  let chosen = picked[row * params.classes + label] - peak;
  out[row] = log(total) - (1.0 - params.smoothing) * chosen - params.smoothing * mean;
}
