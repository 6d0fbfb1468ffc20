// Scores of classes, with or without Gumbel noise: argmax(logit·scale + g), g = -ln(exponential), is a draw from
// softmax(logits·scale). The noise of (row, class) is made from word row·classes + class of the stream (of the row's
// entry, see random/entries.wgsl), so no tiling changes the result; rows·classes must stay below 2^32.

override NOISE: bool = true;

// Four neighbouring classes; `quad` counts vec4s of the stream.
fn score4(logits: vec4f, scale: f32, key: vec2u, stream: u32, quad: u32) -> vec4f {
  if !NOISE { return logits; }
  return logits * scale - log(exponential(random4(key, stream, quad)));
}
