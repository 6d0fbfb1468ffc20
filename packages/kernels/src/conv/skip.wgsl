// Operands of the skip convolution: output channel g reads channels 2g and 2g+1 of cat([x, skip]), which is
// never built. So the first half of the output reads x alone and the second half skip alone, and each half is
// a launch of its own: `source` is x or skip. The loop is in sliding.wgsl.
//
// Layout   source [b,h,w,c], weight [kh,kw,2,c], bias [c], out [b,oh,ow,c], channels last, all f32.
// Needs    c divisible by 8, so that a half is whole vec4s; stride 1.
// Cost     2·b·oh·ow·kh·kw·c FLOPs a launch.

@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

// For four output channels: their even input channels, and their odd ones.
alias Value = mat2x4f;

fn pixel_value(pixel: u32, channel: u32, inside: bool) -> Value {
  let i = pixel * params.channels4 + 2u * (channel - params.first4);
  let low = select(vec4f(), source[i], inside);
  let high = select(vec4f(), source[i + 1u], inside);
  return Value(vec4f(low.xz, high.xz), vec4f(low.yw, high.yw));
}

fn tap_weight(tap: u32, channel: u32) -> Value {
  let j = 2u * tap * params.channels4 + channel;
  return Value(weight[j], weight[j + params.channels4]);
}

fn multiply_add(v: Value, w: Value, sum: vec4f) -> vec4f {
  return fma(v[1], w[1], fma(v[0], w[0], sum));
}
