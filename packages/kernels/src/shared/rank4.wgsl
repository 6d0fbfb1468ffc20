// Four steps of an inner product for four outputs: sum + x.x·b0 + x.y·b1 + x.z·b2 + x.w·b3.
fn rank4(x: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f, sum: vec4f) -> vec4f {
  return fma(vec4f(x.w), b3, fma(vec4f(x.z), b2, fma(vec4f(x.y), b1, fma(vec4f(x.x), b0, sum))));
}
