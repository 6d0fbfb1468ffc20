// Draws classes from softmax((h·weight + bias)·scale) without storing the logits: pass 1 of two. One invocation
// multiplies 8 rows with every chunks-th vec4 of classes and keeps the best score of each row.
//
// Layout   h (called a) [rows,c], weight [c,classes], bias [classes], row-major f32; weight may be
//          f16; best [chunks,rows] of (score bits, class).
// Needs    c and classes divisible by 4.
// Cost     2·rows·c·classes FLOPs and half a threefry block and two logarithms a logit; writes 8·rows·chunks bytes.
//
// The register tile is tile8.wgsl's. Classes are dealt to chunks in turn, so that
// invocations of neighbouring chunks read neighbouring weights.

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = linear_index(group, groups, local, WG);
  let row_tiles = (params.rows + 7u) / 8u;
  let chunk = tile / row_tiles;
  let row = (tile % row_tiles) * 8u;
  if chunk >= params.chunks { return; }
  var found: array<Best, 8>;
  var noise: array<RowNoise, 8>;
  for (var r = 0u; r < 8u; r++) {
    found[r] = Best(LOWEST, 4u * chunk);
    noise[r] = row_noise(row + r);
  }
  for (var column = chunk; column < params.classes4; column += params.chunks) {
    let t = tile8(0u, row, params.rows, params.c4, block_start(column, params.classes4), params.classes4);
    // A loop keeps the noise's code small: unrolled, it takes a software adapter seconds to compile.
    var sums = array(t.s0, t.s1, t.s2, t.s3, t.s4, t.s5, t.s6, t.s7);
    for (var r = 0u; r < 8u; r++) { found[r] = consider(noise[r], column, sums[r], found[r]); }
  }
  for (var r = 0u; r < 8u && row + r < params.rows; r++) {
    best[chunk * params.rows + row + r] = vec2u(bitcast<u32>(found[r].score), found[r].label);
  }
}
