// The second operand of a matrix product, four columns at a time, stored as f16 in halves of words: this needs
// no optional feature, takes half the memory and half the loads, and computes in f32 all the same.
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;

fn load_weight(i: u32) -> vec4f {
  let words = weight[i];
  return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}
