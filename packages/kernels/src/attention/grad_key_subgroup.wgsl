// The gradients of attention's keys and values for software adapters with subgroups: what grad_key.wgsl computes.
//
// Layout   as there.
// Needs    A head size divisible by 4; workgroups of one subgroup, WG = SUBGROUP, as shared/subgroup_tile.wgsl wants them.
// Cost     8 · queries · keys · head size FLOPs a head; no score is stored.
//
// grad_query_subgroup.wgsl with queries and keys in each other's place, and two products to gather.

override WG: u32 = 4;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first_key = group.x * ROWS;
  let head = group.y;
  let batch = group.z;
  let count_keys = min(ROWS, params.keys - first_key);
  let own = first_key + min(own_rows(lane), vec4u(count_keys - 1u));
  let k_at = rows_at(params.k_view, batch, own, head);
  let v_at = rows_at(params.v_view, batch, own, head);
  for (var start = 0u; start < params.queries; start += BLOCK) {
    let count = min(BLOCK, params.queries - start);
    let count4 = (count + 3u) / 4u;
    for (var first = 0u; first < count4; first += SUBGROUP) {
      let row = start + 4u * (first + lane);
      let rows = min(row + NEXT, vec4u(params.queries - 1u));
      let q_at = rows_at(params.q_view, batch, rows, head);
      let g_at = rows_at(g_view(), batch, rows, head);
      var s = Tile16();
      for (var i = 0u; i < params.d; i++) {
        let b = mat4x4f(q[q_at.x + i], q[q_at.y + i], q[q_at.z + i], q[q_at.w + i]);
        var x = mat4x4f(k[k_at.x + i], k[k_at.y + i], vec4f(), vec4f());
        if SUBGROUP == 4u { x = mat4x4f(x[0], x[1], k[k_at.z + i], k[k_at.w + i]); }
        s = add_steps(s, x[0], x[1], x[2], x[3], transpose(b));
      }
      var t = Tile16();
      for (var i = 0u; i < params.d; i++) {
        let b = mat4x4f(g[g_at.x + i], g[g_at.y + i], g[g_at.z + i], g[g_at.w + i]);
        var x = mat4x4f(v[v_at.x + i], v[v_at.y + i], vec4f(), vec4f());
        if SUBGROUP == 4u { x = mat4x4f(x[0], x[1], v[v_at.z + i], v[v_at.w + i]); }
        t = add_steps(t, x[0], x[1], x[2], x[3], transpose(b));
      }
      if first + lane < count4 {
        var products = array(s.t0, s.t1, s.t2, s.t3);
        var along = array(t.t0, t.t1, t.t2, t.t3);
        for (var i = 0u; i < 4u; i++) {
          for (var j = 0u; j < 4u && 4u * i + j < count_keys; j++) {
            let cell = (4u * i + j) * BLOCK4 + first + lane;
            shares[cell] = products[i][j];
            slopes[cell] = along[i][j];
          }
        }
      }
    }
    workgroupBarrier();

    // In a loop of its own: written out with the tile's rows, this would take a software adapter long to compile.
    for (var item = lane; item < count_keys * BLOCK4; item += SUBGROUP) {
      if item % BLOCK4 >= count4 { continue; }
      let row = start + 4u * (item % BLOCK4);
      let rows = min(row + NEXT, vec4u(params.queries - 1u));
      let inside = row + NEXT < vec4u(params.queries);
      let key = first_key + item / BLOCK4;
      let query = (batch * params.queries + rows) * params.heads + head;
      let about = transpose(mat4x4f(stats[query.x], stats[query.y], stats[query.z], stats[query.w]));
      var bits = vec4u();
      if HAS_DROPOUT {
        let position = params.mask_start + key / 4u * 4u;
        bits = vec4u(
          mask_bits(query.x, position),
          mask_bits(query.y, position),
          mask_bits(query.z, position),
          mask_bits(query.w, position),
        ) >> vec4u(key % 4u);
      }
      finish(batch, head, rows, inside, key, bits, about, shares[item], slopes[item], item);
    }
    workgroupBarrier();

    for (var first = 0u; first < params.d; first += SUBGROUP) {
      let column = min(first + lane, params.d - 1u);
      let cells = own_rows(lane) * BLOCK4;
      var s = Tile16();
      var t = Tile16();
      for (var i = 0u; i < count4; i++) {
        let rows = min(start + 4u * i + NEXT, vec4u(params.queries - 1u));
        let q_at = rows_at(params.q_view, batch, rows, head) + column;
        let g_at = rows_at(g_view(), batch, rows, head) + column;
        var x = mat4x4f(slopes[cells.x + i], slopes[cells.y + i], vec4f(), vec4f());
        var y = mat4x4f(shares[cells.x + i], shares[cells.y + i], vec4f(), vec4f());
        if SUBGROUP == 4u {
          x = mat4x4f(x[0], x[1], slopes[cells.z + i], slopes[cells.w + i]);
          y = mat4x4f(y[0], y[1], shares[cells.z + i], shares[cells.w + i]);
        }
        s = add_steps(s, x[0], x[1], x[2], x[3], mat4x4f(q[q_at.x], q[q_at.y], q[q_at.z], q[q_at.w]));
        t = add_steps(t, y[0], y[1], y[2], y[3], mat4x4f(g[g_at.x], g[g_at.y], g[g_at.z], g[g_at.w]));
      }
      if first + lane < params.d {
        var keys = array(s.t0, s.t1, s.t2, s.t3);
        var values = array(t.t0, t.t1, t.t2, t.t3);
        for (var i = 0u; i < 4u; i++) {
          for (var j = 0u; j < 4u && 4u * i + j < count_keys; j++) {
            let dk = at(params.a_view, batch, first_key + 4u * i + j, head) + column;
            let dv = at(params.b_view, batch, first_key + 4u * i + j, head) + column;
            out[dk] = select(vec4f(), out[dk], start > 0u) + params.scale * keys[i][j];
            out[dv] = select(vec4f(), out[dv], start > 0u) + values[i][j];
          }
        }
      }
    }
    workgroupBarrier(); // the next block's cells take the place of these
  }
}
