// By key, four queries to a vec4: p · w and ds.
var<workgroup> shares: array<vec4f, ROWS * BLOCK4>;
var<workgroup> slopes: array<vec4f, ROWS * BLOCK4>;

// `s` are the four queries' statistics: largest scores, factors, deltas. The lowest of their `bits` are this key's.
fn finish(
  batch: u32,
  head: u32,
  rows: vec4u,
  inside: vec4<bool>,
  key: u32,
  bits: vec4u,
  s: mat4x4f,
  product: vec4f,
  slope: vec4f,
  cell: u32,
) {
  var score = params.scale * product;
  if HAS_BIAS {
    score += vec4f(
      bias_of(batch, head, rows.x, key),
      bias_of(batch, head, rows.y, key),
      bias_of(batch, head, rows.z, key),
      bias_of(batch, head, rows.w, key),
    );
  }
  var weight = vec4f(1.0);
  if HAS_WEIGHTS { weight = vec4f(weight_of(batch, key)); }
  if HAS_DROPOUT { weight = select(vec4f(), vec4f(params.keep_scale), (bits & vec4u(1u)) != vec4u()); }
  let p = select(vec4f(), exp(score - s[0]) * s[1], inside);
  shares[cell] = p * weight;
  slopes[cell] = p * (weight * slope - s[2]);
}
