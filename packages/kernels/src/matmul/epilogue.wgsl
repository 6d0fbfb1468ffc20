// What follows a product a·b of software adapters: out = activation(a·b + bias) + residual.

// A pipeline constant: some adapters compute every case of a switch and pick one, which takes as long as a product of
// 256 steps. Bias and residual are cheap, and one pipeline for all of them compiles once.
override ACTIVATION: u32 = 0;

struct Params {
  m: u32,
  k4: u32,
  n4: u32,
  // Of a row of b.
  b_row: u32,
  // In vec4s from one batch entry to the next; 0 where an operand is shared by all.
  a_stride: u32,
  b_stride: u32,
  // 1 adds the bias, 2 the residual.
  epilogue: u32,
}

@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read> residual: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

fn store(batch: u32, row: u32, column: u32, sum: vec4f) {
  let index = (batch * params.m + row) * params.n4 + column;
  var y = sum;
  if (params.epilogue & 1u) != 0u { y += bias[column]; }
  y = activate(ACTIVATION, y);
  if (params.epilogue & 2u) != 0u { y += residual[index]; }
  out[index] = y;
}
