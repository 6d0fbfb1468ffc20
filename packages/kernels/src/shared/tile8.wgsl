// A tile of a matrix product in registers: 8 rows × 4 columns of a·weight. For every 4 steps along k it loads 8
// vec4s of a and 4 of the weight for 32 vec4 FMAs.
//
// Operands come straight from memory: adapters that run on a CPU pay for every load and every barrier, so staging
// tiles in workgroup memory costs there more than it saves. The rows are written out because not every compiler
// keeps an indexed local array in registers. Needs rank4.wgsl, one of weight_f32.wgsl and weight_f16.wgsl, and one of
// block_nn.wgsl and block_nt.wgsl.

// 2 or 8: how many of a tile's rows there are. A product of one or two reads, and waits for, hardly more than its weight.
override TILE_ROWS: u32 = 8;

@group(0) @binding(0) var<storage, read> a: array<vec4f>;

struct Tile {
  s0: vec4f,
  s1: vec4f,
  s2: vec4f,
  s3: vec4f,
  s4: vec4f,
  s5: vec4f,
  s6: vec4f,
  s7: vec4f,
}

// Rows `row … row + 7` of a matrix of `rows` rows and `k4` vec4s that starts at `base`; the last row stands in for
// those past the end. `first` is where the weight's block starts (`block_start`), `stride` the vec4s of its rows.
fn tile8(base: u32, row: u32, rows: u32, k4: u32, first: u32, stride: u32) -> Tile {
  let last = rows - 1u;
  let i0 = base + row * k4;
  let i1 = base + min(row + 1u, last) * k4;
  let i2 = base + min(row + 2u, last) * k4;
  let i3 = base + min(row + 3u, last) * k4;
  let i4 = base + min(row + 4u, last) * k4;
  let i5 = base + min(row + 5u, last) * k4;
  let i6 = base + min(row + 6u, last) * k4;
  let i7 = base + min(row + 7u, last) * k4;
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  for (var k = 0u; k < k4; k++) {
    let b = load_block(first, k, stride);
    s0 = rank4(a[i0 + k], b[0], b[1], b[2], b[3], s0);
    s1 = rank4(a[i1 + k], b[0], b[1], b[2], b[3], s1);
    if TILE_ROWS > 2u {
      s2 = rank4(a[i2 + k], b[0], b[1], b[2], b[3], s2);
      s3 = rank4(a[i3 + k], b[0], b[1], b[2], b[3], s3);
      s4 = rank4(a[i4 + k], b[0], b[1], b[2], b[3], s4);
      s5 = rank4(a[i5 + k], b[0], b[1], b[2], b[3], s5);
      s6 = rank4(a[i6 + k], b[0], b[1], b[2], b[3], s6);
      s7 = rank4(a[i7 + k], b[0], b[1], b[2], b[3], s7);
    }
  }
  return Tile(s0, s1, s2, s3, s4, s5, s6, s7);
}
