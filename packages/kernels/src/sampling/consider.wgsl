// What the kernels have in common that draw classes from a product as it is computed (sample_linear.wgsl and its twin
// for subgroups). Needs best.wgsl and gumbel.wgsl.

override HAS_BIAS: bool = false;

struct Params {
  rows: u32,
  c4: u32,
  classes4: u32,
  chunks: u32,
  key: vec2u,
  stream: u32,
  scale: f32,
}

@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> best: array<vec2u>;
@group(1) @binding(0) var<uniform> params: Params;

fn consider(row: u32, column: u32, sum: vec4f, before: Best) -> Best {
  var logits = sum;
  if HAS_BIAS { logits += bias[column]; }
  let s = score4(logits, params.scale, params.key, params.stream, row * params.classes4 + column);
  let label = 4u * column;
  return better(better(better(better(before, s.x, label), s.y, label + 1u), s.z, label + 2u), s.w, label + 3u);
}
