// Matrix product for GPUs, staged in workgroup memory: out = activation(a·b + bias) + residual.
//
// Layout   a [batch,m,k], or [batch,k,m] with A_STEPS; b [batch,k,n] with B_STEPS, else [batch,n,k]; bias [n], residual
//          and out [batch,m,n], all row-major f32; b may be f16 (shared/weight_f16.wgsl). Split along k, out is
//          [batch,chunks,m,n], chunk c the steps from c·chunk on, and matmul_sum.wgsl does the rest.
// Needs    n divisible by 4, and k too where an operand's rows are not steps of it, m where a's are.
// Cost     2·m·k·n FLOPs; shared/staged_tile.wgsl says what a tile costs. Few outputs leave a GPU idle: that is what
//          splitting along k is for.

override A_STEPS: bool = false;
override B_STEPS: bool = true;

struct Params {
  m: u32,
  n4: u32,
  k: u32,
  // Of a row of a and of b, in vec4s.
  a_row: u32,
  b_row: u32,
  // In vec4s from one batch entry to the next; 0 where an operand is shared by all.
  a_stride: u32,
  b_stride: u32,
  chunk: u32,
  chunks: u32,
  // As in epilogue.wgsl.
  epilogue: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read> residual: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

// Steps past the end count as zeros, of both operands: what lies there may be infinite.
fn until(end: u32, k: u32, block: mat4x4f) -> mat4x4f {
  return mat4x4f(
    select(vec4f(), block[0], k < end),
    select(vec4f(), block[1], k + 1u < end),
    select(vec4f(), block[2], k + 2u < end),
    select(vec4f(), block[3], k + 3u < end),
  );
}

// Four steps from k on of four rows of a. Rows and steps past the last one repeat it; they are not stored, and not summed.
fn block_a(base: u32, quad: u32, k: u32) -> mat4x4f {
  let stride = params.a_row;
  if A_STEPS {
    let i = base + min(quad, stride - 1u);
    let steps = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(params.k - 1u)) * stride;
    return mat4x4f(a[i + steps.x], a[i + steps.y], a[i + steps.z], a[i + steps.w]);
  }
  let i = base + min(k, params.k - 1u) / 4u;
  let row = 4u * quad;
  let last = params.m - 1u;
  return transpose(mat4x4f(
    a[i + min(row, last) * stride],
    a[i + min(row + 1u, last) * stride],
    a[i + min(row + 2u, last) * stride],
    a[i + min(row + 3u, last) * stride],
  ));
}

// Four steps from k on of four columns of b.
fn block_b(base: u32, quad: u32, k: u32) -> mat4x4f {
  let stride = params.b_row;
  let column = min(quad, params.n4 - 1u);
  let last = params.k - 1u;
  if B_STEPS {
    let steps = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(last)) * stride;
    let i = base + column;
    return mat4x4f(
      load_weight(i + steps.x),
      load_weight(i + steps.y),
      load_weight(i + steps.z),
      load_weight(i + steps.w),
    );
  }
  let i = base + 4u * column * stride + min(k, last) / 4u;
  return transpose(mat4x4f(
    load_weight(i),
    load_weight(i + stride),
    load_weight(i + 2u * stride),
    load_weight(i + 3u * stride),
  ));
}

fn store(z: u32, row: u32, column: u32, sum: vec4f) {
  let index = (z * params.m + row) * params.n4 + column;
  var y = sum;
  if (params.epilogue & 1u) != 0u { y += bias[column]; }
  y = activate(params.epilogue >> 2u, y);
  if (params.epilogue & 2u) != 0u { y += residual[index]; }
  out[index] = y;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let first = first_of(group, groups, params.n4);
  if first.x >= params.m { return; }
  let batch = group.z / params.chunks;
  let start = group.z % params.chunks * params.chunk;
  let end = min(start + params.chunk, params.k);
  let at_a = block_of_a(local);
  let at_b = block_of_b(local);
  var sums = Sums();
  for (var k = start; k < end; k += STEPS) {
    workgroupBarrier(); // the previous steps have been read
    let step_a = k + at_a.y;
    stage_a(at_a, until(end, step_a, block_a(batch * params.a_stride, first.x / 4u + at_a.x, step_a)));
    if at_b.y < STEPS {
      let step_b = k + at_b.y;
      stage_b(at_b, until(end, step_b, block_b(batch * params.b_stride, first.y + at_b.x, step_b)));
    }
    workgroupBarrier();
    sums = multiply_staged(local, sums);
  }
  var results = outputs(sums);
  for (var e = 0u; e < 16u; e++) {
    let at = first + output_at(local, e);
    if at.x < params.m && at.y < params.n4 { store(group.z, at.x, at.y, results[e]); }
  }
}
