// The nearest row of a codebook of four columns: out[i] = argmin over j of |z[i] − codes[j]|², the first of
// equals.
//
// Layout   z [rows,4], codes [count,4] f32, out [rows] u32.
// Cost     12·rows·count FLOPs. An invocation searches for four rows, so that a code is loaded once for four;
//          no distance is stored.
//
// The difference is squared as it stands rather than expanded into |z|² − 2·z·e + |e|²: a row that is a code
// is then at distance 0 exactly, and finds itself.

override WG: u32 = 64;

struct Params {
  rows: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> z: array<vec4f>;
@group(0) @binding(1) var<storage, read> codes: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

fn squared(a: vec4f) -> f32 {
  return dot(a, a);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = linear_index(group, groups, local, WG) * 4u;
  if row >= params.rows { return; }
  let last = params.rows - 1u;
  let z0 = z[row];
  let z1 = z[min(row + 1u, last)];
  let z2 = z[min(row + 2u, last)];
  let z3 = z[min(row + 3u, last)];
  var best = vec4u();
  var least = vec4f(3.0e38);
  for (var j = 0u; j < params.count; j++) {
    let e = codes[j];
    let distance = vec4f(squared(z0 - e), squared(z1 - e), squared(z2 - e), squared(z3 - e));
    let closer = distance < least;
    least = select(least, distance, closer);
    best = select(best, vec4u(j), closer);
  }
  out[row] = best.x;
  if row + 1u < params.rows { out[row + 1u] = best.y; }
  if row + 2u < params.rows { out[row + 2u] = best.z; }
  if row + 3u < params.rows { out[row + 3u] = best.w; }
}
