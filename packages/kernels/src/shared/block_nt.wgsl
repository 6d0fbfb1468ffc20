// Four steps × four columns of a product's second operand, for one stored as [n,k]: four neighbouring rows are the
// columns, and the block is turned on its side. That costs nothing where invocations share vector registers.

fn block_start(column: u32, stride: u32) -> u32 {
  return 4u * column * stride;
}

fn load_block(first: u32, k: u32, stride: u32) -> mat4x4f {
  let j = first + k;
  return transpose(mat4x4f(
    load_weight(j),
    load_weight(j + stride),
    load_weight(j + 2u * stride),
    load_weight(j + 3u * stride),
  ));
}
