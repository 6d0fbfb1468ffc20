// Attention's dropout of probabilities. Its mask takes the place of key weights: a bit for each query, head and key,
// drawn once for the forward pass and the gradients. A query's bits are those of k, then those of k2, both filled up
// to whole fours, so that the bits of four keys lie in one word.

override HAS_DROPOUT: bool = false;

// The words' lowest bits say whether `position` and the next three are kept. `query` counts queries and heads.
fn mask_bits(query: u32, position: u32) -> u32 {
  let bit = query * params.mask_row + position;
  return weights[bit / 32u] >> (bit % 32u);
}

fn kept(query: u32, position: u32) -> f32 {
  return select(0.0, params.keep_scale, (mask_bits(query, position) & 1u) != 0u);
}

fn kept4(query: u32, position: u32) -> vec4f {
  let bits = vec4u(mask_bits(query, position)) & vec4u(1u, 2u, 4u, 8u);
  return select(vec4f(), vec4f(params.keep_scale), bits != vec4u());
}
