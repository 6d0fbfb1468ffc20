// Pass 2 of sampling: the class with the best score over the chunks of a row.
//
// Layout   best [chunks,rows] of (score bits, class); out [rows] u32.
// Cost     8·rows·chunks bytes.

override WG: u32 = 64;

struct Params {
  rows: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read> best: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = linear_index(group, groups, local, WG);
  if row >= params.rows { return; }
  var found = Best(bitcast<f32>(best[row].x), best[row].y);
  for (var chunk = 1u; chunk < params.chunks; chunk++) {
    let next = best[chunk * params.rows + row];
    found = better(found, bitcast<f32>(next.x), next.y);
  }
  out[row] = found.label;
}
