// The second operand of a matrix product, four columns at a time, stored as f32.
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;

fn load_weight(i: u32) -> vec4f {
  return weight[i];
}
