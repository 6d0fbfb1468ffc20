// What the kernels have in common that draw classes from a product as it is computed (sample_linear.wgsl and its twin
// for subgroups). Needs best.wgsl, gumbel.wgsl and
// entries.wgsl.

override HAS_BIAS: bool = false;

struct Params {
  rows: u32,
  c4: u32,
  classes4: u32,
  chunks: u32,
  key: vec2u,
  stream: u32,
  scale: f32,
  // Which entries there are, and the rows of one.
  first: u32,
  step: u32,
  entry_rows: u32,
}

@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> best: array<vec2u>;
@group(1) @binding(0) var<uniform> params: Params;

// Where a row's noise is: its key, and the first of its words in vec4s.
struct RowNoise {
  key: vec2u,
  quad: u32,
}

fn row_noise(row: u32) -> RowNoise {
  return RowNoise(entry_key(row / params.entry_rows), row % params.entry_rows * params.classes4);
}

fn consider(noise: RowNoise, column: u32, sum: vec4f, before: Best) -> Best {
  var logits = sum;
  if HAS_BIAS { logits += bias[column]; }
  let s = score4(logits, params.scale, noise.key, params.stream, noise.quad + column);
  let label = 4u * column;
  return better(better(better(better(before, s.x, label), s.y, label + 1u), s.z, label + 2u), s.w, label + 3u);
}
