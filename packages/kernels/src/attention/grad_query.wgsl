// The gradient of attention's queries; formulas are in grad_operands.wgsl.
//
// Layout   out has dq at a_view. T is vec4f.
// Needs    A head size divisible by 4, up to 128; WG is the head size, at least 64.
// Cost     6 · queries · keys · head size FLOPs a head; no score is stored.
//
// As in attention.wgsl, a workgroup takes 16 queries of one head and the keys in blocks of 64: first an invocation
// computes tiles of ds, 4 queries × 4 keys, then it adds 4 queries × 4 columns of ds · k.

override WG: u32 = 64;

// By query, four keys to a vec4: ds.
var<workgroup> slopes: array<vec4f, ROWS * BLOCK4>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let first_row = group.x * ROWS;
  let head = group.y;
  let batch = group.z;
  // In the first step this invocation computes one tile, in the second it adds up four rows and one vec4 column.
  let column = local / 4u;
  let r = local % 4u * 4u;
  let rows = min(first_row + r + NEXT, vec4u(params.queries - 1u));
  let q_at = rows_at(params.q_view, batch, rows, head);
  let g_at = rows_at(g_view(), batch, rows, head);
  var o0 = vec4f(); var o1 = vec4f(); var o2 = vec4f(); var o3 = vec4f();

  for (var start = 0u; start < params.keys; start += BLOCK) {
    let count = min(BLOCK, params.keys - start);
    if local < TILES && column * 4u < count {
      let key = start + column * 4u;
      let keys = min(key + NEXT, vec4u(params.keys - 1u));
      let k_at = rows_at(params.k_view, batch, keys, head);
      let v_at = rows_at(params.v_view, batch, keys, head);
      var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
      for (var i = 0u; i < params.d; i++) {
        let b = transpose(mat4x4f(k[k_at.x + i], k[k_at.y + i], k[k_at.z + i], k[k_at.w + i]));
        s0 = rank4(q[q_at.x + i], b[0], b[1], b[2], b[3], s0);
        s1 = rank4(q[q_at.y + i], b[0], b[1], b[2], b[3], s1);
        s2 = rank4(q[q_at.z + i], b[0], b[1], b[2], b[3], s2);
        s3 = rank4(q[q_at.w + i], b[0], b[1], b[2], b[3], s3);
      }
      var t0 = vec4f(); var t1 = vec4f(); var t2 = vec4f(); var t3 = vec4f();
      for (var i = 0u; i < params.d; i++) {
        let b = transpose(mat4x4f(v[v_at.x + i], v[v_at.y + i], v[v_at.z + i], v[v_at.w + i]));
        t0 = rank4(g[g_at.x + i], b[0], b[1], b[2], b[3], t0);
        t1 = rank4(g[g_at.y + i], b[0], b[1], b[2], b[3], t1);
        t2 = rank4(g[g_at.z + i], b[0], b[1], b[2], b[3], t2);
        t3 = rank4(g[g_at.w + i], b[0], b[1], b[2], b[3], t3);
      }
      let cell = r * BLOCK4 + column;
      slopes[cell] = slopes_of(batch, head, rows.x, key, keys, s0, t0);
      slopes[cell + BLOCK4] = slopes_of(batch, head, rows.y, key, keys, s1, t1);
      slopes[cell + 2u * BLOCK4] = slopes_of(batch, head, rows.z, key, keys, s2, t2);
      slopes[cell + 3u * BLOCK4] = slopes_of(batch, head, rows.w, key, keys, s3, t3);
    }
    workgroupBarrier();

    // Heads narrower than 64 leave the last invocations idle here.
    for (var key = 0u; key < select(0u, count, column < params.d); key += 4u) {
      let keys = min(start + key + NEXT, vec4u(params.keys - 1u));
      let k_at = rows_at(params.k_view, batch, keys, head) + column;
      let ka = k[k_at.x];
      let kb = k[k_at.y];
      let kc = k[k_at.z];
      let kd = k[k_at.w];
      let cell = r * BLOCK4 + key / 4u;
      o0 = rank4(slopes[cell], ka, kb, kc, kd, o0);
      o1 = rank4(slopes[cell + BLOCK4], ka, kb, kc, kd, o1);
      o2 = rank4(slopes[cell + 2u * BLOCK4], ka, kb, kc, kd, o2);
      o3 = rank4(slopes[cell + 3u * BLOCK4], ka, kb, kc, kd, o3);
    }
    workgroupBarrier();
  }

  if column >= params.d { return; }
  let to = at(params.a_view, batch, first_row + r, head) + column;
  store(first_row + r, to, o0);
  store(first_row + r + 1u, to + params.a_view.y, o1);
  store(first_row + r + 2u, to + 2u * params.a_view.y, o2);
  store(first_row + r + 3u, to + 3u * params.a_view.y, o3);
}

fn store(row: u32, to: u32, sum: vec4f) {
  if row >= params.queries { return; }
  let dq = params.scale * sum;
  if params.accumulate != 0u { out[to] += dq; } else { out[to] = dq; }
}
