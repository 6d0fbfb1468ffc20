// Draws classes from softmax(logits·scale): pass 1 of two. One invocation keeps the best score of a chunk of
// neighbouring classes of one row. Logits may be some rows of a draw: its noise does not depend on how it is cut.
//
// Layout   logits [rows,classes] row-major f32; best [chunks,rows] of (score bits, class).
// Needs    nothing: with a stored matmul this is also the twin that sample_linear.wgsl is tested against.
// Cost     half a threefry block and two logarithms a logit; reads 4·rows·classes bytes, writes 8·rows·chunks.

override WG: u32 = 64;

struct Params {
  rows: u32,
  classes: u32,
  // Classes of a chunk, and how many chunks.
  span: u32,
  chunks: u32,
  key: vec2u,
  stream: u32,
  scale: f32,
  // Which entries there are, and the rows of one.
  first: u32,
  step: u32,
  entry_rows: u32,
  // Which row of the draw is the first one here.
  start_row: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> best: array<vec2u>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = linear_index(group, groups, local, WG);
  if index >= params.rows * params.chunks { return; }
  let row = index % params.rows;
  let first = (index / params.rows) * params.span;
  let drawn_row = row + params.start_row;
  let key = entry_key(drawn_row / params.entry_rows);
  // Words of noise count from the entry's first logit.
  let base = drawn_row % params.entry_rows * params.classes;
  let end = base + min(first + params.span, params.classes);
  var found = Best(LOWEST, first);
  // Noise comes four words at a time, whatever the position of the row in its vec4s.
  for (var quad = (base + first) / 4u; 4u * quad < end; quad++) {
    var values = vec4f();
    for (var lane = 0u; lane < 4u; lane++) {
      values[lane] = logits[row * params.classes + clamp(4u * quad + lane, base, end - 1u) - base];
    }
    let scores = score4(values, params.scale, key, params.stream, quad);
    for (var lane = 0u; lane < 4u; lane++) {
      let word = 4u * quad + lane;
      if word >= base + first && word < end { found = better(found, scores[lane], word - base); }
    }
  }
  best[index] = vec2u(bitcast<u32>(found.score), found.label);
}
