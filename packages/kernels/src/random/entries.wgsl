// Random words by entries: entry e of a tensor, its slice e along the first dimension, has a key of its own and counts
// its words from 0, so what it draws is the same in whatever batch it is. The key is JAX's fold_in(key, index) with
// index = first + e·step: threefry(key, (0, index)).
//
// Needs    threefry.wgsl, and key, first and step in Params.
// Cost     a threefry pair a call: call it outside of loops over words.

// Without entries the whole tensor is one, and its key the generator's own.
override ENTRIES: bool = false;

fn entry_key(entry: u32) -> vec2u {
  if !ENTRIES { return params.key; }
  let index = params.first + entry * params.step;
  let pairs = random4(params.key, 0u, index / 2u);
  return select(pairs.xy, pairs.zw, index % 2u == 1u);
}
