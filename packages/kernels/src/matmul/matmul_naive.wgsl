// Matrix product with a fused epilogue, one invocation an output: out = activation(a·b + bias) + residual.
//
// Layout   a [batch,m,k], b [batch,k,n], or either with its last two dimensions swapped, by strides; bias [n],
//          residual and out [batch,m,n], all row-major f32.
// Needs    nothing: this is the twin that matmul.wgsl is tested against, and serves odd sizes.
// Cost     2·m·k·n FLOPs, two loads an FMA.

override WG: u32 = 64;

struct Params {
  m: u32,
  k: u32,
  n: u32,
  // In elements from one batch entry to the next; 0 where an operand is shared by all.
  a_stride: u32,
  b_stride: u32,
  // From one row and from one step of the contraction to the next, and from one step and one column to the next.
  a_strides: vec2u,
  b_strides: vec2u,
  // 1 adds the bias, 2 the residual, and the rest counts activations in fours.
  epilogue: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let element = linear_index(group, groups, local, WG);
  if element >= params.m * params.n { return; }
  let row = element / params.n;
  let column = element % params.n;
  let batch = group.z;
  let i = batch * params.a_stride + row * params.a_strides.x;
  let j = batch * params.b_stride + column * params.b_strides.y;
  var sum = 0.0;
  for (var k = 0u; k < params.k; k++) {
    sum = fma(a[i + k * params.a_strides.y], b[j + k * params.b_strides.x], sum);
  }
  let index = batch * params.m * params.n + element;
  if (params.epilogue & 1u) != 0u { sum += bias[column]; }
  sum = activate(params.epilogue >> 2u, vec4f(sum)).x;
  if (params.epilogue & 2u) != 0u { sum += residual[index]; }
  out[index] = sum;
}
