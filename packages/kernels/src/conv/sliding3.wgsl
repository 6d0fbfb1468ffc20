// sliding.wgsl for 3 × 3 taps, which then stay in registers: an invocation computes a strip of four columns × 4 channels
// and walks down its rows. Every input row of six values serves three output rows, so that a sum of 9 products costs
// about 2 loads instead of 7.

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = group.x * WG + local;
  let column = i / params.count4 * 4u;
  if column >= params.out_size.x { return; }
  let channel = params.first4 + i % params.count4;
  let image = group.z;
  let first = group.y * params.rows;
  let left = i32(column) - i32(params.padding);

  let w0 = weight_of(0u, channel);
  let w1 = weight_of(1u, channel);
  let w2 = weight_of(2u, channel);
  let w3 = weight_of(3u, channel);
  let w4 = weight_of(4u, channel);
  let w5 = weight_of(5u, channel);
  let w6 = weight_of(6u, channel);
  let w7 = weight_of(7u, channel);
  let w8 = weight_of(8u, channel);
  // Sums of the output row two above the input row, which it completes, and of the row one above.
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  var b0 = vec4f(); var b1 = vec4f(); var b2 = vec4f(); var b3 = vec4f();
  for (var r = 0u; r < params.rows + 2u; r++) {
    let wanted = i32(first + r) - i32(params.padding);
    let y = clamp(wanted, 0, i32(params.size.y) - 1);
    let is_row = params.replicate == 1u || y == wanted;
    let row = (image * params.size.y + u32(y)) * params.size.x;
    let v0 = value(row, left, channel, is_row);
    let v1 = value(row, left + 1, channel, is_row);
    let v2 = value(row, left + 2, channel, is_row);
    let v3 = value(row, left + 3, channel, is_row);
    let v4 = value(row, left + 4, channel, is_row);
    let v5 = value(row, left + 5, channel, is_row);
    if r >= 2u && first + r - 2u < params.out_size.y {
      let out_row = image * params.out_size.y + first + r - 2u;
      store(out_row, column, channel, taps(v0, v1, v2, w6, w7, w8, a0));
      store(out_row, column + 1u, channel, taps(v1, v2, v3, w6, w7, w8, a1));
      store(out_row, column + 2u, channel, taps(v2, v3, v4, w6, w7, w8, a2));
      store(out_row, column + 3u, channel, taps(v3, v4, v5, w6, w7, w8, a3));
    }
    a0 = taps(v0, v1, v2, w3, w4, w5, b0);
    a1 = taps(v1, v2, v3, w3, w4, w5, b1);
    a2 = taps(v2, v3, v4, w3, w4, w5, b2);
    a3 = taps(v3, v4, v5, w3, w4, w5, b3);
    b0 = taps(v0, v1, v2, w0, w1, w2, vec4f());
    b1 = taps(v1, v2, v3, w0, w1, w2, vec4f());
    b2 = taps(v2, v3, v4, w0, w1, w2, vec4f());
    b3 = taps(v3, v4, v5, w0, w1, w2, vec4f());
  }
}

fn weight_of(tap: u32, channel: u32) -> Value {
  return tap_weight(select(tap, 8u - tap, params.flip == 1u), channel);
}

fn taps(x: Value, y: Value, z: Value, u: Value, v: Value, w: Value, sum: vec4f) -> vec4f {
  return multiply_add(z, w, multiply_add(y, v, multiply_add(x, u, sum)));
}
