// Typical filtering (arXiv 2202.00666): of each row of logits, those classes stay whose surprise is nearest to the
// expected one; the others become REMOVED.
//
// With p the softmax, the score of class k is |−log p_k − H|, H = Σ −p·log p. Both hold the same log Σ exp, which cancels:
// the score is the distance of the logit from the mean of all logits under p. What stays has a score up to the smallest
// v with Σ p ≥ mass and at least min_tokens classes up to v. Upstream sorts; here v is found by bisection, halving first
// the interval and then the bits of its ends, until no more than one score lies between.
//
// Layout   x and out [rows,length], counted in Ts.
// Needs    At least one class. mass below 1.
// Cost     Three passes over a row, one exp an element, and two passes for each of about log2(classes) + 3 halvings: the
//          exponentials wait in out.

const REMOVED = -1e30;
// Halvings of the interval, after which the bits are at most 31 more.
const BY_VALUE = 16u;
const ROUNDS = 47u;

struct Params {
  rows: u32,
  // In Ts, and in numbers.
  length: u32,
  classes: u32,
  mass: f32,
  min_tokens: u32,
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
  let row = min(item, params.rows - 1u);
  let start = row * params.length;
  let first = start + local % TEAM;
  let end = start + params.length;

  var top = x[start];
  var bottom = x[start];
  for (var i = first; i < end; i += TEAM) {
    top = max(top, x[i]);
    bottom = min(bottom, x[i]);
  }
  let extremes = team_max(local, vec2f(lanes_max(top), lanes_max(-bottom)));
  let peak = extremes.x;

  // From here on logits are counted from the largest.
  var weights = T();
  var moments = T();
  for (var i = first; i < end; i += TEAM) {
    let logit = x[i] - peak;
    let weight = exp(logit);
    weights += weight;
    moments += weight * logit;
    if item < params.rows { out[i] = weight; }
  }
  let sums = team_sum(local, vec2f(lanes_sum(weights), lanes_sum(moments)));
  let mean = sums.y / sums.x;
  let wanted = params.mass * sums.x;

  // Bits of scores: too little is kept below `low`, enough up to `high`; and how many classes that is.
  var low = 0u;
  var high = bitcast<u32>(max(abs(mean), abs(-extremes.y - peak - mean)));
  var below = 0.0;
  var up_to = f32(params.classes);
  // All rows take all rounds, since they meet at barriers; who is done looks at nothing.
  for (var round = 0u; round < ROUNDS; round++) {
    let is_open = low < high && up_to - below > 1.0;
    let by_value = bitcast<u32>(0.5 * (bitcast<f32>(low) + bitcast<f32>(high)));
    let middle = select((low + high) / 2u, min(by_value, high - 1u), round < BY_VALUE);
    let bound = T(bitcast<f32>(middle));
    var kept = T();
    var count = T();
    if is_open {
      for (var i = first; i < end; i += TEAM) {
        let stays = abs(x[i] - peak - mean) <= bound;
        kept += select(T(), out[i], stays);
        count += select(T(), T(1.0), stays);
      }
    }
    let found = team_sum(local, vec2f(lanes_sum(kept), lanes_sum(count)));
    let is_enough = found.x >= wanted && found.y >= f32(params.min_tokens);
    if is_open && is_enough {
      high = middle;
      up_to = found.y;
    } else if is_open {
      low = middle + 1u;
      below = found.y;
    }
  }

  if item >= params.rows { return; }
  let bound = T(bitcast<f32>(high));
  for (var i = first; i < end; i += TEAM) {
    out[i] = select(T(REMOVED), x[i], abs(x[i] - peak - mean) <= bound);
  }
}
