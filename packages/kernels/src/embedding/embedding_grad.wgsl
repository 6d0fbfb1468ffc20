// The gradient of a table: out[row] = Σ dy[p] over the positions p whose index is row, in the order of positions.
//
// Layout   dy [count,d], ends and order as sort_positions.wgsl makes them, out [rows,d]; `width` is d in Ts.
// Cost     Reads dy once; one invocation a T of the table.

override WG: u32 = 64;

struct Params {
  rows: u32,
  width: u32,
  chunk: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<T>;
@group(0) @binding(1) var<storage, read> ends: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<T>;
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
  let column = i % params.width;
  var sum = T();
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    let at = chunk * params.rows + row;
    var begin = chunk * params.chunk;
    if row > 0u { begin = ends[at - 1u]; }
    let end = ends[at];
    for (var j = begin; j < end; j++) { sum += dy[order[j] * params.width + column]; }
  }
  out[i] = sum;
}
