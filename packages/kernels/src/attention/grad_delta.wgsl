// What the gradients of attention need of each query and head: how to compute its softmax again, and
// delta = Σ_c dy_c · y_c, which is the mean that every score's gradient is relative to.
//
// Layout   y: the result [batch,queries,heads,d], then a vec4 (largest score, sum of exponentials, 0, 0) for each
//          query and head; dy like the result; out [batch,queries,heads] vec4s (largest score, 1 / sum, delta, 0).
// Cost     two loads for each number of the result, little beside the products.

override WG: u32 = 64;

struct Params {
  rows: u32,
  d: u32,
}

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = linear_index(group, groups, local, WG);
  if row >= params.rows { return; }
  var delta = 0.0;
  for (var i = row * params.d; i < (row + 1u) * params.d; i++) { delta += dy[i] * y[i]; }
  let stats = params.rows * params.d + 4u * row;
  out[row] = vec4f(y[stats], 1.0 / y[stats + 1u], delta, 0.0);
}
