// Sorts the positions of each chunk of indices by index, keeping the order of equal ones (a counting sort): so that a
// table's gradient can be added up row by row in an order that never changes.
//
// Layout   indices [count] u32; ends [chunks,rows]: where the positions of a row end in the chunk's part of order
//          [count], and those of the next row begin. An index outside the table counts as its last row.
// Cost     One invocation a chunk, 2·rows + 2·chunk steps: few and serial, but without atomics.

override WG: u32 = 64;

struct Params {
  count: u32,
  rows: u32,
  chunk: u32,
}

@group(0) @binding(0) var<storage, read> indices: array<u32>;
@group(0) @binding(1) var<storage, read_write> ends: array<u32>;
@group(0) @binding(2) var<storage, read_write> order: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let start = id.x * params.chunk;
  if start >= params.count { return; }
  let end = min(start + params.chunk, params.count);
  let base = id.x * params.rows;
  for (var row = 0u; row < params.rows; row++) { ends[base + row] = 0u; }
  for (var p = start; p < end; p++) { ends[base + min(indices[p], params.rows - 1u)]++; }
  // Where each row begins; placing its positions moves that to where it ends.
  var begin = start;
  for (var row = 0u; row < params.rows; row++) {
    let length = ends[base + row];
    ends[base + row] = begin;
    begin += length;
  }
  for (var p = start; p < end; p++) {
    let at = base + min(indices[p], params.rows - 1u);
    order[ends[at]] = p;
    ends[at]++;
  }
}
