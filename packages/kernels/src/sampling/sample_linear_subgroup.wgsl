// sample_linear.wgsl for software adapters with subgroups: one multiplies 16 rows, and each of its invocations them
// with every chunks-th vec4 of classes.
//
// Layout   as there.
// Needs    c and classes divisible by 4, and subgroups as shared/subgroup_tile.wgsl wants them.
// Cost     as there; the tile loads half as much (shared/tile16.wgsl).

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = linear_index(group, groups, local, WG) / SUBGROUP;
  let across = (params.chunks + SUBGROUP - 1u) / SUBGROUP;
  let row = tile / across * 16u;
  if row >= params.rows { return; }
  let chunk = tile % across * SUBGROUP + lane;
  var found: array<Best, 16>;
  var noise: array<RowNoise, 16>;
  for (var r = 0u; r < 16u; r++) {
    found[r] = Best(LOWEST, 4u * chunk);
    noise[r] = row_noise(row + r);
  }
  // All invocations take equally many turns; who is past the end looks at the last classes once more, which is no harm.
  for (var start = 0u; start < params.classes4; start += params.chunks) {
    let column = min(start + chunk, params.classes4 - 1u);
    let first = block_start(column, params.classes4);
    let t = tile16(0u, row, params.rows, params.c4, first, params.classes4, lane);
    var quads = array(t.t0, t.t1, t.t2, t.t3);
    for (var r = 0u; r < 16u; r++) { found[r] = consider(noise[r], column, quads[r / 4u][r % 4u], found[r]); }
  }
  if chunk >= params.chunks { return; }
  for (var r = 0u; r < 16u && row + r < params.rows; r++) {
    best[chunk * params.rows + row + r] = vec2u(bitcast<u32>(found[r].score), found[r].label);
  }
}
