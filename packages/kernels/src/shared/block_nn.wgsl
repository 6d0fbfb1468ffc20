// Four steps × four columns of a product's second operand, for one stored as [k,n]: four neighbouring rows.

fn block_start(column: u32, stride: u32) -> u32 {
  return column;
}

fn load_block(first: u32, k: u32, stride: u32) -> mat4x4f {
  let j = first + 4u * k * stride;
  return mat4x4f(
    load_weight(j),
    load_weight(j + stride),
    load_weight(j + 2u * stride),
    load_weight(j + 3u * stride),
  );
}
