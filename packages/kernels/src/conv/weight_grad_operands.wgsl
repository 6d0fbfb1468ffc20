// Operands of the gradient of a dense convolution's weight; conv_weight_grad.wgsl says how they lie.

struct Params {
  size: vec2u,
  grid: vec2u,
  kernel: vec2u,
  stride: u32,
  padding: u32,
  a4: u32,
  b4: u32,
  pixels: u32,
  chunk: u32,
  replicate: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;
