// Rows of a table: out[i] = weight[indices[i]]. Of a table in parts, each launch writes the rows that its part has:
// those of indices from `first` to `end`.
//
// Layout   indices [count] u32, weight [rows,d], out [count,d]. A `Word` is 4 bytes, or a vec4 of them where d
//          is divisible by 4; `width` is d in words.
// Needs    rows > 0; the last part ends at the largest number. An index outside the table reads its last row.
// Cost     8 bytes an element and 4 an index.

override WG: u32 = 64;

struct Params {
  rows: u32,
  width: u32,
  size: u32,
  first: u32,
  end: u32,
}

@group(0) @binding(0) var<storage, read> indices: array<u32>;
@group(0) @binding(1) var<storage, read> weight: array<Word>;
@group(0) @binding(2) var<storage, read_write> out: array<Word>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(group, groups, local, WG);
  if i >= params.size { return; }
  let index = indices[i / params.width];
  if index < params.first || index > params.end { return; }
  let row = min(index - params.first, params.rows - 1u);
  out[i] = weight[row * params.width + i % params.width];
}
