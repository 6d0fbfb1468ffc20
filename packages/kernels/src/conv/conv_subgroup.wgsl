// Dense convolution, and its transpose, for software adapters with subgroups: what conv.wgsl computes, with the tile of
// shared/subgroup_tile.wgsl. An invocation finds the positions of the 2 or 4 pixels that it loads, not of all 16.
//
// Layout   as there.
// Needs    ci and co divisible by 4, and subgroups as subgroup_tile.wgsl wants them.
// Cost     2·b·oh·ow·kh·kw·ci·co FLOPs. A subgroup computes 16 pixels × 4 channels an invocation.

override WG: u32 = 64;
override HAS_BIAS: bool = false;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = linear_index(group, groups, local, WG) / SUBGROUP;
  let columns = (params.n4 + SUBGROUP - 1u) / SUBGROUP;
  let pixel = tile / columns * 16u;
  if pixel >= params.pixel_tiles * 16u { return; }
  let column = tile % columns * SUBGROUP + lane;
  let loaded = min(column, params.n4 - 1u);
  let phase = phase_of(group.z);

  let c0 = corner(position_of(pixel + own_row(0u, lane)), phase.origin);
  let c1 = corner(position_of(pixel + own_row(1u, lane)), phase.origin);
  let c2 = corner(position_of(pixel + own_row(2u, lane)), phase.origin);
  let c3 = corner(position_of(pixel + own_row(3u, lane)), phase.origin);
  var t = Tile16();
  var tap = vec2i();
  for (var ky = phase.first_tap.y; ky < params.kernel.y; ky += phase.tap_step) {
    tap.x = 0;
    for (var kx = phase.first_tap.x; kx < params.kernel.x; kx += phase.tap_step) {
      let p0 = source(c0, tap);
      let p1 = source(c1, tap);
      let p2 = source(c2, tap);
      let p3 = source(c3, tap);
      var j = (ky * params.kernel.x + kx) * 4u * params.k4 * params.n4 + loaded;
      for (var k = 0u; k < params.k4; k++) {
        let x0 = load(p0, k);
        let x1 = load(p1, k);
        var x2 = vec4f();
        var x3 = vec4f();
        if SUBGROUP == 4u {
          x2 = load(p2, k);
          x3 = load(p3, k);
        }
        let w = mat4x4f(
          weight[j],
          weight[j + params.n4],
          weight[j + 2u * params.n4],
          weight[j + 3u * params.n4],
        );
        t = add_steps(t, x0, x1, x2, x3, w);
        j += 4u * params.n4;
      }
      tap.x++;
    }
    tap.y++;
  }
  if column >= params.n4 { return; }
  var after = vec4f();
  if HAS_BIAS { after = bias[column]; }
  var quads = array(t.t0, t.t1, t.t2, t.t3);
  for (var q = 0u; q < 4u; q++) {
    for (var r = 0u; r < 4u; r++) {
      let to = target_of(position_of(pixel + 4u * q + r), phase.at);
      if to.inside { out[to.index + column] = quads[q][r] + after; }
    }
  }
}
