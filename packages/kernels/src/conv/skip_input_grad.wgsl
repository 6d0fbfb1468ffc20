// Operands of the gradient of skip.wgsl's input: channels 2g and 2g+1 of x (or of skip) went to output channel g (or
// c/2 + g) alone, so a vec4 of the gradient comes from two neighbouring output channels. The loop is in sliding.wgsl,
// which walks the taps backwards.
//
// Layout   dy [b,oh,ow,c] and weight [kh,kw,2,c] as vec2s, out [b,h,w,c], channels last, all f32.
// Needs    c divisible by 8; stride 1.
// Cost     2·b·h·w·kh·kw·c FLOPs a launch.

@group(0) @binding(0) var<storage, read> dy: array<vec2f>;
@group(0) @binding(1) var<storage, read> weight: array<vec2f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

alias Value = vec4f;

fn pixel_value(pixel: u32, channel: u32, inside: bool) -> Value {
  let d = select(vec2f(), dy[2u * pixel * params.channels4 + params.offset + channel], inside);
  return d.xxyy;
}

fn tap_weight(tap: u32, channel: u32) -> Value {
  let j = 4u * tap * params.channels4 + params.offset + channel;
  let even = weight[j];
  let odd = weight[j + 2u * params.channels4];
  return vec4f(even.x, odd.x, even.y, odd.y);
}

fn multiply_add(v: Value, w: Value, sum: vec4f) -> vec4f {
  return fma(v, w, sum);
}
