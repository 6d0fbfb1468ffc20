// The words of a draw by entries, four elements of the whole tensor at a time.
//
// Needs    entries.wgsl, and stream and entry_size (the elements of an entry) in Params.
// Cost     two threefry blocks; four with entries, and sixteen with entries that are no whole vec4s.

// Entries that are no whole vec4s.
override RAGGED: bool = false;

fn bits_at(quad: u32) -> vec4u {
  if !RAGGED {
    let quads = (params.entry_size + 3u) / 4u;
    let entry = select(0u, quad / quads, ENTRIES);
    return random4(entry_key(entry), params.stream, quad - entry * quads);
  }
  var bits = vec4u();
  for (var lane = 0u; lane < 4u; lane++) {
    let element = 4u * quad + lane;
    let i = element % params.entry_size;
    bits[lane] = random4(entry_key(element / params.entry_size), params.stream, i / 4u)[i % 4u];
  }
  return bits;
}
