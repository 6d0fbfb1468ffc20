// Operands of aᵀ·b for its kernels on processors; matmul_tn.wgsl says how they lie.

struct Params {
  m4: u32,
  n4: u32,
  k: u32,
  chunk: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;
