// Of one query and four keys, ds, from the products q·k and g·v.
fn slopes_of(batch: u32, head: u32, row: u32, key: u32, keys: vec4u, product: vec4f, slope: vec4f) -> vec4f {
  var score = params.scale * product;
  if HAS_BIAS {
    score += vec4f(
      bias_of(batch, head, row, keys.x),
      bias_of(batch, head, row, keys.y),
      bias_of(batch, head, row, keys.z),
      bias_of(batch, head, row, keys.w),
    );
  }
  var weight = vec4f(1.0);
  if HAS_WEIGHTS {
    weight = vec4f(
      weight_of(batch, keys.x),
      weight_of(batch, keys.y),
      weight_of(batch, keys.z),
      weight_of(batch, keys.w),
    );
  }
  let query = query_index(batch, row, head);
  if HAS_DROPOUT { weight = kept4(query, params.mask_start + key); }
  let s = stats[query];
  let ds = exp(score - s.x) * s.y * (weight * slope - s.z);
  return select(vec4f(), ds, key + NEXT < vec4u(params.keys));
}
