// The second pass of a product that is split along its contraction: out = activation(Σ parts + bias) + residual.
//
// Layout   parts [batch,chunks,m,n], bias [n], residual and out [batch,m,n], row-major f32.
// Needs    n divisible by 4.
// Cost     Reads parts once. Chunks are added in their order, so the bits do not depend on scheduling.

override WG: u32 = 64;

struct Params {
  // In vec4s: m·n, and n.
  size: u32,
  n4: u32,
  chunks: u32,
  // As in epilogue.wgsl.
  epilogue: u32,
}

@group(0) @binding(0) var<storage, read> parts: array<vec4f>;
@group(0) @binding(1) var<storage, read> bias: array<vec4f>;
@group(0) @binding(2) var<storage, read> residual: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(group, groups, local, WG);
  if i >= params.size { return; }
  let first = group.z * params.chunks * params.size + i;
  var y = parts[first];
  for (var c = 1u; c < params.chunks; c++) { y += parts[first + c * params.size]; }
  if (params.epilogue & 1u) != 0u { y += bias[i % params.n4]; }
  y = activate(params.epilogue >> 2u, y);
  let index = group.z * params.size + i;
  if (params.epilogue & 2u) != 0u { y += residual[index]; }
  out[index] = y;
}
