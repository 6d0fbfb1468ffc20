// Operands of the gradients of attention, for every kernel and variant. The keys are those of k or those of k2: each
// pair has launches of its own, so that the bindings stay within eight.
//
// With p the softmax, w the weights of keys (or 0 and 1 / (1 − rate) of dropout) and g the gradient of the result, for each head:
//   ds_ij = p_ij · (w_j · g_i·v_j − delta_i)    dq_i = scale · Σ_j ds_ij · k_j
//   dv_j = Σ_i p_ij · w_j · g_i                 dk_j = scale · Σ_i ds_ij · q_i

override HAS_BIAS: bool = false;
override HAS_WEIGHTS: bool = false;

// In elements of T: vec4s, or single numbers.
struct Params {
  batches: u32,
  queries: u32,
  keys: u32,
  heads: u32,
  d: u32,
  // The number of the first key among all, for bias and weights.
  first_key: u32,
  scale: f32,
  // In numbers, from one batch entry to the next.
  weights_stride: u32,
  // Of dropout: bits a query, the first one of these keys, and what probabilities that are kept are multiplied by.
  mask_row: u32,
  mask_start: u32,
  keep_scale: f32,
  // Whether to add to what `out` holds.
  accumulate: u32,
  // Start, stride of a row, stride of the batch.
  q_view: vec3u,
  k_view: vec3u,
  v_view: vec3u,
  // Of dq, or of dk and dv, in out.
  a_view: vec3u,
  b_view: vec3u,
  // In numbers, along batch, head, query and key.
  bias_strides: vec4u,
}

@group(0) @binding(0) var<storage, read> q: array<T>;
@group(0) @binding(1) var<storage, read> k: array<T>;
@group(0) @binding(2) var<storage, read> v: array<T>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
// f32 in bits, or the mask of dropout.
@group(0) @binding(4) var<storage, read> weights: array<u32>;
@group(0) @binding(5) var<storage, read> g: array<T>;
// Of each query and head: its largest score, 1 / the sum of exponentials, delta.
@group(0) @binding(6) var<storage, read> stats: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

fn at(view: vec3u, batch: u32, row: u32, head: u32) -> u32 {
  return view.x + batch * view.z + row * view.y + head * params.d;
}

// The row of g, and with d = 1 of stats.
fn query_index(batch: u32, row: u32, head: u32) -> u32 {
  return (batch * params.queries + row) * params.heads + head;
}

fn bias_of(batch: u32, head: u32, row: u32, key: u32) -> f32 {
  return bias[dot(vec4u(batch, head, row, params.first_key + key), params.bias_strides)];
}

fn weight_of(batch: u32, key: u32) -> f32 {
  return bitcast<f32>(weights[batch * params.weights_stride + params.first_key + key]);
}
