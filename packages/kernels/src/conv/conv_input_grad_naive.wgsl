// The gradient of a grouped convolution's input (zero padding), one invocation an element:
//   out[q, i] = Σ dy[(q + padding − (kx,ky)) / stride, n] · weight[ky,kx,i',n]
// over the taps for which the division leaves nothing, and the output channels n of i's group.
//
// Layout   dy [b,oh,ow,co], weight [kh,kw,k,co], out [b,h,w,groups·k], channels last, all f32; i' is i within its group.
// Needs    nothing: the twin of the other gradients, and the way for odd sizes.
// Cost     2·b·oh·ow·kh·kw·k·co FLOPs, two loads an FMA.

override WG: u32 = 64;

struct Params {
  size: vec2u,
  out_size: vec2u,
  kernel: vec2u,
  stride: u32,
  padding: u32,
  channels: u32,
  group_in: u32,
  out_channels: u32,
  group_out: u32,
  images: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let element = linear_index(group, groups, local, WG);
  let channel = element % params.channels;
  let pixel = element / params.channels;
  let row = pixel / params.size.x;
  if row >= params.images * params.size.y { return; }
  let position = vec2i(vec2u(pixel % params.size.x, row % params.size.y)) + i32(params.padding);
  let image = row / params.size.y * params.out_size.y;
  let first = channel / params.group_in * params.group_out;
  let stride = i32(params.stride);
  var sum = 0.0;
  for (var ky = 0u; ky < params.kernel.y; ky++) {
    for (var kx = 0u; kx < params.kernel.x; kx++) {
      let scaled = position - vec2i(vec2u(kx, ky));
      let at = scaled / stride;
      if any(scaled < vec2i()) || any(at * stride != scaled) || any(at >= vec2i(params.out_size)) { continue; }
      let i = ((image + u32(at.y)) * params.out_size.x + u32(at.x)) * params.out_channels + first;
      let tap = ky * params.kernel.x + kx;
      let j = (tap * params.group_in + channel % params.group_in) * params.out_channels + first;
      for (var n = 0u; n < params.group_out; n++) { sum = fma(dy[i + n], weight[j + n], sum); }
    }
  }
  out[element] = sum;
}
