// The gradient of a grouped convolution's weight, one invocation an output:
//   out[ky,kx,k,n] = Σ x[p·stride + (kx,ky) − padding, first(n) + k] · dy[p, n]   over all output pixels p.
//
// Layout   x [b,h,w,groups·k], dy [b,oh,ow,co], out [kh,kw,k,co], channels last, all f32. Output channel n belongs to
//          group n / group_out. Vectors of a width and a height are in that order.
// Needs    nothing: the twin of conv_weight_grad.wgsl and sliding_weight_grad.wgsl, and the way for odd sizes.
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
  replicate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let output = linear_index(group, groups, local, WG);
  let n = output % params.out_channels;
  let k = output / params.out_channels % params.group_in;
  let tap = output / (params.out_channels * params.group_in);
  if tap >= params.kernel.x * params.kernel.y { return; }
  let offset = vec2i(vec2u(tap % params.kernel.x, tap / params.kernel.x)) - i32(params.padding);
  let channel = n / params.group_out * params.group_in + k;
  var sum = 0.0;
  for (var row = 0u; row < params.images * params.out_size.y; row++) {
    let image = row / params.out_size.y * params.size.y;
    for (var column = 0u; column < params.out_size.x; column++) {
      let wanted = vec2i(vec2u(column, row % params.out_size.y) * params.stride) + offset;
      let at = clamp(wanted, vec2i(), vec2i(params.size) - 1);
      if params.replicate == 0u && any(at != wanted) { continue; }
      let i = ((image + u32(at.y)) * params.size.x + u32(at.x)) * params.channels + channel;
      sum = fma(x[i], dy[(row * params.out_size.x + column) * params.out_channels + n], sum);
    }
  }
  out[output] = sum;
}
