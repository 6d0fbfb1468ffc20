// A stride-1 convolution in which four output channels read few input channels: depthwise.wgsl and skip.wgsl
// say which, this is their loop.
//
// An invocation computes four neighbouring pixels of a row × 4 channels. It slides a window of four input
// values along each row of taps, so that a value is loaded once a row and not once a tap: (3 + 2·kw) loads for
// 4·kw multiply-adds. Neighbouring invocations differ in their channels.

override WG: u32 = 64;
override HAS_BIAS: bool = false;

// Vectors of a width and a height are in that order.
struct Params {
  size: vec2u,
  out_size: vec2u,
  kernel: vec2u,
  padding: u32,
  // Vec4s of channels in out, and the range of them that this launch computes.
  channels4: u32,
  first4: u32,
  count4: u32,
  images: u32,
  // 1: pixels outside are those on the edge, 0: they are zero.
  replicate: u32,
  // 1: walks the taps backwards, which turns a convolution into its gradient.
  flip: u32,
  // Of use to skip_input_grad.wgsl.
  offset: u32,
}

fn value(row: u32, column: i32, channel: u32) -> Value {
  let at = clamp(column, 0, i32(params.size.x) - 1);
  return pixel_value(row + u32(at), channel, params.replicate == 1u || at == column);
}

fn store(row: u32, column: u32, channel: u32, sum: vec4f) {
  if column >= params.out_size.x { return; }
  var y = sum;
  if HAS_BIAS { y += bias[channel]; }
  out[(row * params.out_size.x + column) * params.channels4 + channel] = y;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(group, groups, local, WG);
  let tiles = (params.out_size.x + 3u) / 4u;
  let channel = params.first4 + i % params.count4;
  let strip = i / params.count4;
  let column = strip % tiles * 4u;
  let out_row = strip / tiles;
  let image = out_row / params.out_size.y;
  if image >= params.images { return; }

  let left = i32(column) - i32(params.padding);
  let top = i32(out_row % params.out_size.y) - i32(params.padding);
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  for (var ky = 0u; ky < params.kernel.y; ky++) {
    let wanted = top + i32(ky);
    let y = clamp(wanted, 0, i32(params.size.y) - 1);
    if params.replicate == 0u && y != wanted { continue; }
    let row = (image * params.size.y + u32(y)) * params.size.x;
    var v0 = value(row, left, channel);
    var v1 = value(row, left + 1, channel);
    var v2 = value(row, left + 2, channel);
    for (var kx = 0u; kx < params.kernel.x; kx++) {
      let v3 = value(row, left + 3 + i32(kx), channel);
      let tap = ky * params.kernel.x + kx;
      let w = tap_weight(select(tap, params.kernel.x * params.kernel.y - 1u - tap, params.flip == 1u), channel);
      s0 = multiply_add(v0, w, s0);
      s1 = multiply_add(v1, w, s1);
      s2 = multiply_add(v2, w, s2);
      s3 = multiply_add(v3, w, s3);
      v0 = v1;
      v1 = v2;
      v2 = v3;
    }
  }
  store(out_row, column, channel, s0);
  store(out_row, column + 1u, channel, s1);
  store(out_row, column + 2u, channel, s2);
  store(out_row, column + 3u, channel, s3);
}
