// What a fused loss needs of a row of logits, with label smoothing s: its cross-entropy, whether its largest logit is the
// label's, and, with params.gradient, in place of the logits their gradient,
//   scale · (softmax(x) − (1 − s)·onehot(label) − s/classes).
//
// Layout   x [rows,length], counted in Ts, read and perhaps overwritten; labels [rows] u32, scales [rows], out [rows,2].
// Needs    At least one class. A label past the end counts as the last class.
// Cost     Two passes over a row, one exp an element; a third one for the gradient.

struct Params {
  rows: u32,
  // In Ts, and in numbers.
  length: u32,
  classes: u32,
  smoothing: f32,
  gradient: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<T>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG) / TEAM;
  let row = min(item, params.rows - 1u);
  let start = row * params.length;
  let first = start + local % TEAM;
  let end = start + params.length;
  let label = min(labels[row], params.classes - 1u);

  var top = x[start];
  for (var i = first; i < end; i += TEAM) { top = max(top, x[i]); }
  let peak = team_max(local, lanes_max(top));
  let chosen = number_at(start, label) - peak;

  var exponentials = T();
  var differences = T();
  for (var i = first; i < end; i += TEAM) {
    let difference = x[i] - peak;
    exponentials += exp(difference);
    differences += difference;
  }
  let total = team_sum(local, lanes_sum(exponentials));
  let mean = team_sum(local, lanes_sum(differences)) / f32(params.classes);

  if item >= params.rows { return; }
  if local % TEAM == 0u {
    let loss = log(total) - (1.0 - params.smoothing) * chosen - params.smoothing * mean;
    out[row] = vec2f(loss, select(0.0, 1.0, chosen >= 0.0));
  }
  if params.gradient == 0u { return; }
  let scale = scales[row];
  let share = scale / total;
  let spread = scale * params.smoothing / f32(params.classes);
  let hit = scale * (1.0 - params.smoothing);
  for (var i = first; i < end; i += TEAM) {
    x[i] = share * exp(x[i] - peak) - spread - hit * one_hot(i - start, label);
  }
}
