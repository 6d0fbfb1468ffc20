// One query and key: p · w, and the gradient of their score, ds.
fn pair(batch: u32, head: u32, row: u32, key: u32) -> vec2f {
  let query = query_index(batch, row, head);
  let from_q = at(params.q_view, batch, row, head);
  let from_k = at(params.k_view, batch, key, head);
  let from_v = at(params.v_view, batch, key, head);
  var score = 0.0;
  var slope = 0.0;
  for (var i = 0u; i < params.d; i++) {
    score += product(q[from_q + i], k[from_k + i]);
    slope += product(g[query * params.d + i], v[from_v + i]);
  }
  score *= params.scale;
  if HAS_BIAS { score += bias_of(batch, head, row, key); }
  var weight = 1.0;
  if HAS_WEIGHTS { weight = weight_of(batch, key); }
  if HAS_DROPOUT { weight = kept(query, params.mask_start + key); }
  let s = stats[query];
  let p = exp(score - s.x) * s.y;
  return vec2f(p * weight, p * (weight * slope - s.z));
}
