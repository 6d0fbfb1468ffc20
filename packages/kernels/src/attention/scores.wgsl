// What the kernels by blocks of keys share: where keys and values come from, and how a score is finished.

// The largest score seen starts here; keys past the end score less, so that they never count.
const LOWEST = -3.0e38;
const PAST_END = -3.4e38;

fn key_at(is_extra: bool, i: u32) -> vec4f {
  if HAS_EXTRA && is_extra { return k2[i]; }
  return k[i];
}

fn value_at(is_extra: bool, i: u32) -> vec4f {
  if HAS_EXTRA && is_extra { return v2[i]; }
  return v[i];
}

fn bias_of(batch: u32, head: u32, row: u32, key: u32) -> f32 {
  return bias[dot(vec4u(batch, head, row, key), params.bias_strides)];
}

// Four probabilities of a block, times what weights or dropout make of their keys. `query` counts over the batch.
fn weighted(p: vec4f, batch: u32, head: u32, query: u32, is_extra: bool, key: u32, end: u32) -> vec4f {
  var share = p;
  if HAS_WEIGHTS {
    let w = batch * params.weights_stride + select(0u, params.keys, is_extra) + key;
    let last = end - 1u - key;
    let w1 = weights[w + min(1u, last)];
    let w2 = weights[w + min(2u, last)];
    let w3 = weights[w + min(3u, last)];
    share *= bitcast<vec4f>(vec4u(weights[w], w1, w2, w3));
  }
  if HAS_DROPOUT {
    let own = (params.keys + 3u) / 4u * 4u;
    share *= kept4(query * params.heads + head, select(0u, own, is_extra) + key);
  }
  return share;
}

// Scales the scores of one query, adds the bias, and marks keys past the end. `key` counts over k and k2.
fn finish(batch: u32, head: u32, row: u32, key: u32, left: u32, sum: vec4f) -> vec4f {
  var s = params.scale * sum;
  if HAS_BIAS {
    let last = params.keys + params.extra - 1u;
    s += vec4f(
      bias_of(batch, head, row, key),
      bias_of(batch, head, row, min(key + 1u, last)),
      bias_of(batch, head, row, min(key + 2u, last)),
      bias_of(batch, head, row, min(key + 3u, last)),
    );
  }
  return select(vec4f(PAST_END), s, vec4u(0u, 1u, 2u, 3u) < vec4u(left));
}
