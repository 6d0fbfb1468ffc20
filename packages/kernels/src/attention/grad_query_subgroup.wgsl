// The gradient of attention's queries for software adapters with subgroups: what grad_query.wgsl computes.
//
// Layout   as there.
// Needs    A head size divisible by 4; workgroups of one subgroup, WG = SUBGROUP, as shared/subgroup_tile.wgsl wants them.
// Cost     6 · queries · keys · head size FLOPs a head; no score is stored.
//
// As in attention_subgroup.wgsl, a subgroup takes 16 queries of one head, and the keys in blocks of 64. What it gathers
// goes to `out` block by block: nobody else writes there.

override WG: u32 = 4;

// By query, four keys to a vec4: g · v, and q · k, which becomes scale · ds.
var<workgroup> along: array<vec4f, ROWS * BLOCK4>;
var<workgroup> slopes: array<vec4f, ROWS * BLOCK4>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first_row = group.x * ROWS;
  let head = group.y;
  let batch = group.z;
  let count_rows = min(ROWS, params.queries - first_row);
  let own = first_row + min(own_rows(lane), vec4u(count_rows - 1u));
  let q_at = rows_at(params.q_view, batch, own, head);
  let g_at = rows_at(g_view(), batch, own, head);
  for (var start = 0u; start < params.keys; start += BLOCK) {
    let count = min(BLOCK, params.keys - start);
    let count4 = (count + 3u) / 4u;
    for (var first = 0u; first < count4; first += SUBGROUP) {
      let key = start + 4u * (first + lane);
      let keys = min(key + NEXT, vec4u(params.keys - 1u));
      let k_at = rows_at(params.k_view, batch, keys, head);
      let v_at = rows_at(params.v_view, batch, keys, head);
      var s = Tile16();
      for (var i = 0u; i < params.d; i++) {
        let b = mat4x4f(k[k_at.x + i], k[k_at.y + i], k[k_at.z + i], k[k_at.w + i]);
        var x = mat4x4f(q[q_at.x + i], q[q_at.y + i], vec4f(), vec4f());
        if SUBGROUP == 4u { x = mat4x4f(x[0], x[1], q[q_at.z + i], q[q_at.w + i]); }
        s = add_steps(s, x[0], x[1], x[2], x[3], transpose(b));
      }
      var t = Tile16();
      for (var i = 0u; i < params.d; i++) {
        let b = mat4x4f(v[v_at.x + i], v[v_at.y + i], v[v_at.z + i], v[v_at.w + i]);
        var x = mat4x4f(g[g_at.x + i], g[g_at.y + i], vec4f(), vec4f());
        if SUBGROUP == 4u { x = mat4x4f(x[0], x[1], g[g_at.z + i], g[g_at.w + i]); }
        t = add_steps(t, x[0], x[1], x[2], x[3], transpose(b));
      }
      if first + lane < count4 {
        var products = array(s.t0, s.t1, s.t2, s.t3);
        var others = array(t.t0, t.t1, t.t2, t.t3);
        for (var i = 0u; i < 4u; i++) {
          for (var j = 0u; j < 4u && 4u * i + j < count_rows; j++) {
            let cell = (4u * i + j) * BLOCK4 + first + lane;
            slopes[cell] = products[i][j];
            along[cell] = others[i][j];
          }
        }
      }
    }
    workgroupBarrier();

    // In a loop of its own: written out with the tile's rows, this would take a software adapter long to compile.
    for (var item = lane; item < count_rows * BLOCK4; item += SUBGROUP) {
      if item % BLOCK4 >= count4 { continue; }
      let key = start + 4u * (item % BLOCK4);
      let keys = min(key + NEXT, vec4u(params.keys - 1u));
      let row = first_row + item / BLOCK4;
      slopes[item] = params.scale * slopes_of(batch, head, row, key, keys, slopes[item], along[item]);
    }
    workgroupBarrier();

    for (var first = 0u; first < params.d; first += SUBGROUP) {
      let column = min(first + lane, params.d - 1u);
      let cells = own_rows(lane) * BLOCK4;
      var t = Tile16();
      for (var i = 0u; i < count4; i++) {
        let k_at = rows_at(params.k_view, batch, min(start + 4u * i + NEXT, vec4u(params.keys - 1u)), head) + column;
        let b = mat4x4f(k[k_at.x], k[k_at.y], k[k_at.z], k[k_at.w]);
        var x = mat4x4f(slopes[cells.x + i], slopes[cells.y + i], vec4f(), vec4f());
        if SUBGROUP == 4u { x = mat4x4f(x[0], x[1], slopes[cells.z + i], slopes[cells.w + i]); }
        t = add_steps(t, x[0], x[1], x[2], x[3], b);
      }
      if first + lane < params.d {
        var quads = array(t.t0, t.t1, t.t2, t.t3);
        for (var i = 0u; i < 4u; i++) {
          for (var j = 0u; j < 4u && 4u * i + j < count_rows; j++) {
            let to = at(params.a_view, batch, first_row + 4u * i + j, head) + column;
            let before = select(vec4f(), out[to], start > 0u || params.accumulate == 1u);
            out[to] = before + quads[i][j];
          }
        }
      }
    }
    workgroupBarrier(); // the next block's slopes take the place of these
  }
}
