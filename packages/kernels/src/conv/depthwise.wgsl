// Operands of the depthwise convolution: every output channel reads the one input channel of its number.
// The loop is in sliding.wgsl.
//
// Layout   x [b,h,w,c], weight [kh,kw,1,c], bias [c], out [b,oh,ow,c], channels last, all f32.
// Needs    c divisible by 4, stride 1.
// Cost     2·b·oh·ow·kh·kw·c FLOPs.

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

alias Value = vec4f;

fn pixel_value(pixel: u32, channel: u32, inside: bool) -> Value {
  return select(vec4f(), x[pixel * params.channels4 + channel], inside);
}

fn tap_weight(tap: u32, channel: u32) -> Value {
  return weight[tap * params.channels4 + channel];
}

fn multiply_add(v: Value, w: Value, sum: vec4f) -> vec4f {
  return fma(v, w, sum);
}
