// The gradients of attention's keys and values; formulas are in grad_operands.wgsl.
//
// Layout   out has dk at a_view and dv at b_view, for each batch entry, even where entries share keys. T is vec4f.
// Needs    A head size divisible by 4, up to 128; WG is the head size, at least 64.
// Cost     8 · queries · keys · head size FLOPs a head; no score is stored.
//
// grad_query.wgsl with queries and keys in each other's place: a workgroup takes 16 keys of one head and the queries
// in blocks of 64. First an invocation computes tiles of p · w and ds, 4 keys × 4 queries, then it adds 4 keys × 4
// columns of both products.

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let first_key = group.x * ROWS;
  let head = group.y;
  let batch = group.z;
  // In the first step this invocation computes one tile, in the second it adds up four rows and one vec4 column.
  let column = local / 4u;
  let r = local % 4u * 4u;
  let keys = min(first_key + r + NEXT, vec4u(params.keys - 1u));
  let k_at = rows_at(params.k_view, batch, keys, head);
  let v_at = rows_at(params.v_view, batch, keys, head);
  var k0 = vec4f(); var k1 = vec4f(); var k2 = vec4f(); var k3 = vec4f();
  var v0 = vec4f(); var v1 = vec4f(); var v2 = vec4f(); var v3 = vec4f();

  for (var start = 0u; start < params.queries; start += BLOCK) {
    let count = min(BLOCK, params.queries - start);
    if local < TILES && column * 4u < count {
      let row = start + column * 4u;
      let rows = min(row + NEXT, vec4u(params.queries - 1u));
      let q_at = rows_at(params.q_view, batch, rows, head);
      let g_at = rows_at(g_view(), batch, rows, head);
      var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
      for (var i = 0u; i < params.d; i++) {
        let b = transpose(mat4x4f(q[q_at.x + i], q[q_at.y + i], q[q_at.z + i], q[q_at.w + i]));
        s0 = rank4(k[k_at.x + i], b[0], b[1], b[2], b[3], s0);
        s1 = rank4(k[k_at.y + i], b[0], b[1], b[2], b[3], s1);
        s2 = rank4(k[k_at.z + i], b[0], b[1], b[2], b[3], s2);
        s3 = rank4(k[k_at.w + i], b[0], b[1], b[2], b[3], s3);
      }
      var t0 = vec4f(); var t1 = vec4f(); var t2 = vec4f(); var t3 = vec4f();
      for (var i = 0u; i < params.d; i++) {
        let b = transpose(mat4x4f(g[g_at.x + i], g[g_at.y + i], g[g_at.z + i], g[g_at.w + i]));
        t0 = rank4(v[v_at.x + i], b[0], b[1], b[2], b[3], t0);
        t1 = rank4(v[v_at.y + i], b[0], b[1], b[2], b[3], t1);
        t2 = rank4(v[v_at.z + i], b[0], b[1], b[2], b[3], t2);
        t3 = rank4(v[v_at.w + i], b[0], b[1], b[2], b[3], t3);
      }
      let query = (batch * params.queries + rows) * params.heads + head;
      let s = transpose(mat4x4f(stats[query.x], stats[query.y], stats[query.z], stats[query.w]));
      var bits = vec4u();
      if HAS_DROPOUT {
        let position = params.mask_start + first_key + r;
        bits = vec4u(
          mask_bits(query.x, position),
          mask_bits(query.y, position),
          mask_bits(query.z, position),
          mask_bits(query.w, position),
        );
      }
      let inside = row + NEXT < vec4u(params.queries);
      let cell = r * BLOCK4 + column;
      finish(batch, head, rows, inside, keys.x, bits, s, s0, t0, cell);
      finish(batch, head, rows, inside, keys.y, bits >> vec4u(1u), s, s1, t1, cell + BLOCK4);
      finish(batch, head, rows, inside, keys.z, bits >> vec4u(2u), s, s2, t2, cell + 2u * BLOCK4);
      finish(batch, head, rows, inside, keys.w, bits >> vec4u(3u), s, s3, t3, cell + 3u * BLOCK4);
    }
    workgroupBarrier();

    // Heads narrower than 64 leave the last invocations idle here.
    for (var row = 0u; row < select(0u, count, column < params.d); row += 4u) {
      let rows = min(start + row + NEXT, vec4u(params.queries - 1u));
      let q_at = rows_at(params.q_view, batch, rows, head) + column;
      let qa = q[q_at.x];
      let qb = q[q_at.y];
      let qc = q[q_at.z];
      let qd = q[q_at.w];
      let cell = r * BLOCK4 + row / 4u;
      k0 = rank4(slopes[cell], qa, qb, qc, qd, k0);
      k1 = rank4(slopes[cell + BLOCK4], qa, qb, qc, qd, k1);
      k2 = rank4(slopes[cell + 2u * BLOCK4], qa, qb, qc, qd, k2);
      k3 = rank4(slopes[cell + 3u * BLOCK4], qa, qb, qc, qd, k3);
      let g_at = rows_at(g_view(), batch, rows, head) + column;
      let ga = g[g_at.x];
      let gb = g[g_at.y];
      let gc = g[g_at.z];
      let gd = g[g_at.w];
      v0 = rank4(shares[cell], ga, gb, gc, gd, v0);
      v1 = rank4(shares[cell + BLOCK4], ga, gb, gc, gd, v1);
      v2 = rank4(shares[cell + 2u * BLOCK4], ga, gb, gc, gd, v2);
      v3 = rank4(shares[cell + 3u * BLOCK4], ga, gb, gc, gd, v3);
    }
    workgroupBarrier();
  }

  if column >= params.d { return; }
  let key = first_key + r;
  store(batch, head, key, column, k0, v0);
  store(batch, head, key + 1u, column, k1, v1);
  store(batch, head, key + 2u, column, k2, v2);
  store(batch, head, key + 3u, column, k3, v3);
}

fn store(batch: u32, head: u32, key: u32, column: u32, dk: vec4f, dv: vec4f) {
  if key >= params.keys { return; }
  out[at(params.a_view, batch, key, head) + column] = params.scale * dk;
  out[at(params.b_view, batch, key, head) + column] = dv;
}
