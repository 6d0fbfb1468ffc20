// The mask of attention's dropout: bit i (of its batch entry, see entries.wgsl) is set, with probability 1 − p, where
// number i of a random stream, uniform in [0,1), is at least p. One invocation a word. A row of bits is whole fours, so
// four bits are of one entry, while a word may have those of several.
//
// Layout   out [words] u32, as mask.wgsl reads it; the lowest bit comes first.
// Cost     16 threefry blocks a word, and with entries two for each that the word has bits of.

override WG: u32 = 64;

struct Params {
  words: u32,
  stream: u32,
  key: vec2u,
  p: f32,
  // Which entries there are, and the fours of bits of one.
  first: u32,
  step: u32,
  entry_quads: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(group, groups, local, WG);
  if i >= params.words { return; }
  var entry = 8u * i / params.entry_quads;
  var quad = 8u * i % params.entry_quads;
  var key = entry_key(entry);
  var word = 0u;
  for (var shift = 0u; shift < 32u; shift += 4u) {
    if ENTRIES && quad == params.entry_quads {
      entry++;
      quad = 0u;
      key = entry_key(entry);
    }
    let keep = unit_uniform(random4(key, params.stream, quad)) >= vec4f(params.p);
    let bits = select(vec4u(), vec4u(1u, 2u, 4u, 8u), keep);
    word |= (bits.x | bits.y | bits.z | bits.w) << shift;
    quad++;
  }
  out[i] = word;
}
