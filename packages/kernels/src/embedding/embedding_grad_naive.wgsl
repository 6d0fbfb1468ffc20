// The gradient of a table, by looking at every index for every element: out[row] = Σ dy[p] where indices[p] is row.
//
// Layout   indices [count] u32, dy [count,d], out [rows,d].
// Needs    nothing: the twin of embedding_grad.wgsl.
// Cost     rows·d·count comparisons.

override WG: u32 = 64;

struct Params {
  count: u32,
  rows: u32,
  width: u32,
}

@group(0) @binding(0) var<storage, read> indices: array<u32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(group, groups, local, WG);
  let row = i / params.width;
  if row >= params.rows { return; }
  var sum = 0.0;
  for (var p = 0u; p < params.count; p++) {
    if min(indices[p], params.rows - 1u) == row { sum += dy[p * params.width + i % params.width]; }
  }
  out[i] = sum;
}
