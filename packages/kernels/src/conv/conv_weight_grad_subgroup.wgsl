// The gradient of a dense convolution's weight for software adapters with subgroups: what conv_weight_grad.wgsl computes.
//
// Layout   as there.
// Needs    ca and cb divisible by 4, and subgroups as shared/subgroup_tile.wgsl wants them.
// Cost     2·kh·kw·pixels·ca·cb FLOPs. A subgroup computes 16 rows of one tap, × 4 columns an invocation: four
//          invocations load the rows of a pixel, and the next four those of the next pixel, for all.

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = linear_index(group, groups, local, WG) / SUBGROUP;
  let rows = (params.a4 + 3u) / 4u;
  let columns = (params.b4 + SUBGROUP - 1u) / SUBGROUP;
  let column = tile % columns * SUBGROUP + lane;
  let row4 = tile / columns % rows * 4u;
  let tap = tile / (columns * rows);
  if tap >= params.kernel.x * params.kernel.y { return; }
  let offset = vec2i(vec2u(tap % params.kernel.x, tap / params.kernel.x)) - i32(params.padding);
  let own_row4 = min(row4 + lane % 4u, params.a4 - 1u);
  let own_column = min(column, params.b4 - 1u);
  let steps = select(2u, 1u, SUBGROUP == 4u);
  let start = group.z * params.chunk;
  let end = min(start + params.chunk, params.pixels);

  // The pixel whose rows this invocation loads.
  let own = start + lane / 4u % steps;
  let row = own / params.grid.x;
  var at = vec2u(own % params.grid.x, row % params.grid.y);
  var image = row / params.grid.y * params.size.y;
  let last_row = params.pixels / (params.grid.x * params.grid.y) * params.size.y - 1u;
  var t = Tile16();
  for (var p = start; p < end; p += steps) {
    let wanted = vec2i(at * params.stride) + offset;
    let source = clamp(wanted, vec2i(), vec2i(params.size) - 1);
    let i = (min(image + u32(source.y), last_row) * params.size.x + u32(source.x)) * params.a4 + own_row4;
    let x = select(vec4f(), a[i], params.replicate == 1u || all(source == wanted));
    let w = b[p * params.b4 + own_column];
    t = add_outer(t, x, w);
    if SUBGROUP > 4u && p + 1u < end {
      let next = b[(p + 1u) * params.b4 + own_column];
      t = add_next_outer(t, x, next);
    }
    at.x += steps;
    while at.x >= params.grid.x {
      at = vec2u(at.x - params.grid.x, at.y + 1u);
      if at.y == params.grid.y {
        at.y = 0u;
        image += params.size.y;
      }
    }
  }
  if column >= params.b4 { return; }
  let taps = params.kernel.x * params.kernel.y;
  let to = ((group.z * taps + tap) * params.a4 + row4) * 4u * params.b4 + column;
  var quads = array(t.t0, t.t1, t.t2, t.t3);
  for (var q = 0u; q < 4u && row4 + q < params.a4; q++) {
    for (var r = 0u; r < 4u; r++) { out[to + (4u * q + r) * params.b4] = quads[q][r]; }
  }
}
