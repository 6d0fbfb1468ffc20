// Grouped convolution, one invocation an output.
//
// Layout   x [b,h,w,groups·k], weight [kh,kw,k,co], bias [co], out [b,oh,ow,co], channels last, all f32.
//          Output channel n belongs to group n / group_out. Vectors of a width and a height are in that order.
// Needs    nothing: this is the twin that the other convolutions are tested against, and serves every case
//          they do not take.
// Cost     2·b·oh·ow·kh·kw·k·co FLOPs, two loads an FMA.

override WG: u32 = 64;
override HAS_BIAS: bool = false;
override REPLICATE: bool = false;

struct Params {
  size: vec2u,
  out_size: vec2u,
  kernel: vec2u,
  stride: u32,
  padding: u32,
  // Channels of x and of a group of it, of out and of a group of it.
  channels: u32,
  group_in: u32,
  out_channels: u32,
  group_out: u32,
  outputs: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let output = linear_index(group, groups, local, WG);
  if output >= params.outputs { return; }
  let n = output % params.out_channels;
  let pixel = output / params.out_channels;
  let row = pixel / params.out_size.x;
  let position = vec2u(pixel % params.out_size.x, row % params.out_size.y);
  let image = row / params.out_size.y * params.size.y;
  let corner = vec2i(position * params.stride) - i32(params.padding);
  let first_channel = n / params.group_out * params.group_in;
  var sum = 0.0;
  for (var ky = 0u; ky < params.kernel.y; ky++) {
    for (var kx = 0u; kx < params.kernel.x; kx++) {
      let wanted = corner + vec2i(vec2u(kx, ky));
      let at = clamp(wanted, vec2i(), vec2i(params.size) - 1);
      if !REPLICATE && any(at != wanted) { continue; }
      let i = ((image + u32(at.y)) * params.size.x + u32(at.x)) * params.channels + first_channel;
      let j = (ky * params.kernel.x + kx) * params.group_in * params.out_channels + n;
      for (var k = 0u; k < params.group_in; k++) {
        sum = fma(x[i + k], weight[j + k * params.out_channels], sum);
      }
    }
  }
  if HAS_BIAS { sum += bias[n]; }
  out[output] = sum;
}
