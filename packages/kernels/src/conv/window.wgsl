// What the kernels with a sliding window share: their parameters, an input value, and where a sum goes.

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
  // 1: pixels outside are those on the edge, 0: they are zero.
  replicate: u32,
  // 1: walks the taps backwards, which turns a convolution into its gradient.
  flip: u32,
  // Of use to skip_input_grad.wgsl.
  offset: u32,
  // Of use to sliding3.wgsl: output rows of an invocation.
  rows: u32,
}

// Of a row that begins at pixel `row`, where the row itself is inside or repeated.
fn value(row: u32, column: i32, channel: u32, is_row: bool) -> Value {
  let at = clamp(column, 0, i32(params.size.x) - 1);
  return pixel_value(row + u32(at), channel, is_row && (params.replicate == 1u || at == column));
}

fn store(row: u32, column: u32, channel: u32, sum: vec4f) {
  if column >= params.out_size.x { return; }
  var y = sum;
  if HAS_BIAS { y += bias[channel]; }
  out[(row * params.out_size.x + column) * params.channels4 + channel] = y;
}
