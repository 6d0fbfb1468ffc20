// Operands of attention, for every variant: the prelude says whether T is f32 or vec4f.

// Whether there are k2 and v2.
override HAS_EXTRA: bool = false;
override HAS_BIAS: bool = false;
override HAS_WEIGHTS: bool = false;

// In elements of T: vec4s, or single numbers.
struct Params {
  queries: u32,
  keys: u32,
  extra: u32,
  heads: u32,
  d: u32,
  scale: f32,
  // In numbers, from one batch entry to the next.
  weights_stride: u32,
  // Of dropout: bits a query, and what probabilities that are kept are multiplied by.
  mask_row: u32,
  keep_scale: f32,
  // Where in `out`, behind the result, four numbers a query and head begin that gradients need: the largest
  // score, and the sum of exponentials of differences to it. 0 to keep none.
  stats_start: u32,
  // Start, stride of a row, stride of the batch.
  q_view: vec3u,
  k_view: vec3u,
  v_view: vec3u,
  k2_view: vec3u,
  v2_view: vec3u,
  // In numbers, along batch, head, query and key.
  bias_strides: vec4u,
}

@group(0) @binding(0) var<storage, read> q: array<T>;
@group(0) @binding(1) var<storage, read> k: array<T>;
@group(0) @binding(2) var<storage, read> v: array<T>;
@group(0) @binding(3) var<storage, read> k2: array<T>;
@group(0) @binding(4) var<storage, read> v2: array<T>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
// f32 in bits, or the mask of dropout.
@group(0) @binding(6) var<storage, read> weights: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

// Keeps what gradients need of a query and head, number `row` of all.
fn store_stats(row: u32, peak: f32, total: f32) {
  let stats = vec4f(peak, total, 0.0, 0.0);
  for (var i = 0u; i < 4u / LANES; i++) { out[params.stats_start + row * (4u / LANES) + i] = piece(stats, i); }
}
