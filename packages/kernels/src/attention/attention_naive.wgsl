// Attention with online softmax, one invocation a query and head: out = Σ_j weight_j · softmax_j(scale ·
// q·k_j + bias_j) · v_j, over the rows of k and v, then of k2 and v2.
//
// Layout   As attention.wgsl, but strides and d, the head size, count Ts.
// Needs    A head size up to 128: this is the twin that attention.wgsl is tested against, and serves odd
//          sizes.
// Cost     4 · queries · keys · head size FLOPs a head, two loads an FMA. It compiles several times faster
//          than attention.wgsl, which decides where there is little to compute.

override WG: u32 = 64;

fn at(view: vec3u, batch: u32, row: u32, head: u32) -> u32 {
  return view.x + batch * view.z + row * view.y + head * params.d;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let head = id.y;
  let batch = id.z;
  if row >= params.queries { return; }
  let from_q = at(params.q_view, batch, row, head);
  var sums: array<T, MAX_D>;
  var peak = -3.0e38;
  var total = 0.0;
  for (var j = 0u; j < params.keys + params.extra; j++) {
    let is_extra = HAS_EXTRA && j >= params.keys;
    let key = select(j, j - params.keys, is_extra);
    let from_k = at(select(params.k_view, params.k2_view, is_extra), batch, key, head);
    let from_v = at(select(params.v_view, params.v2_view, is_extra), batch, key, head);
    var score = 0.0;
    for (var i = 0u; i < params.d; i++) {
      if is_extra {
        score += product(q[from_q + i], k2[from_k + i]);
      } else {
        score += product(q[from_q + i], k[from_k + i]);
      }
    }
    score *= params.scale;
    if HAS_BIAS { score += bias[dot(vec4u(batch, head, row, j), params.bias_strides)]; }
    let top = max(peak, score);
    let factor = exp(peak - top);
    var share = exp(score - top);
    peak = top;
    total = total * factor + share;
    if HAS_WEIGHTS { share *= bitcast<f32>(weights[batch * params.weights_stride + j]); }
    if HAS_DROPOUT {
      let own = (params.keys + 3u) / 4u * 4u;
      share *= kept((batch * params.queries + row) * params.heads + head, select(j, own + key, is_extra));
    }
    for (var i = 0u; i < params.d; i++) {
      if is_extra {
        sums[i] = sums[i] * factor + share * v2[from_v + i];
      } else {
        sums[i] = sums[i] * factor + share * v[from_v + i];
      }
    }
  }
  let to = (batch * params.queries + row) * params.heads + head;
  for (var i = 0u; i < params.d; i++) { out[to * params.d + i] = sums[i] / total; }
  if params.stats_start > 0u { store_stats(to, peak, total); }
}
