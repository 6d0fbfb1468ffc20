// The nearest row of a codebook: out[i] = argmin over j of |z[i] − codes[j]|², the first of equals.
//
// Layout   z [rows,d], codes [count,d] f32, out [rows] u32.
// Needs    nothing: this is the twin that nearest.wgsl is tested against, and serves any number of columns.
// Cost     3·rows·count·d FLOPs, two loads a difference; an invocation searches for one row.

override WG: u32 = 64;

struct Params {
  rows: u32,
  count: u32,
  d: u32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> codes: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = linear_index(group, groups, local, WG);
  if row >= params.rows { return; }
  var best = 0u;
  var least = 3.0e38;
  for (var j = 0u; j < params.count; j++) {
    var distance = 0.0;
    for (var k = 0u; k < params.d; k++) {
      let difference = z[row * params.d + k] - codes[j * params.d + k];
      distance = fma(difference, difference, distance);
    }
    if distance < least {
      least = distance;
      best = j;
    }
  }
  out[row] = best;
}
