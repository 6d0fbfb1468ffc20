// A stride-1 convolution in which four output channels read few input channels: depthwise.wgsl and skip.wgsl
// say which, this is their loop.
//
// An invocation computes four neighbouring pixels of a row × 4 channels. It slides a window of four input
// values along each row of taps, so that a value is loaded once a row and not once a tap: (3 + 2·kw) loads for
// 4·kw multiply-adds. Neighbouring invocations differ in their channels.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  // Rows and images are the grid's: on a processor one division takes as long as ten loads.
  let i = group.x * WG + local;
  let column = i / params.count4 * 4u;
  if column >= params.out_size.x { return; }
  let channel = params.first4 + i % params.count4;
  let image = group.z;
  let out_row = image * params.out_size.y + group.y;

  let left = i32(column) - i32(params.padding);
  let top = i32(group.y) - i32(params.padding);
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  for (var ky = 0u; ky < params.kernel.y; ky++) {
    let wanted = top + i32(ky);
    let y = clamp(wanted, 0, i32(params.size.y) - 1);
    if params.replicate == 0u && y != wanted { continue; }
    let row = (image * params.size.y + u32(y)) * params.size.x;
    var v0 = value(row, left, channel, true);
    var v1 = value(row, left + 1, channel, true);
    var v2 = value(row, left + 2, channel, true);
    for (var kx = 0u; kx < params.kernel.x; kx++) {
      let v3 = value(row, left + 3 + i32(kx), channel, true);
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
