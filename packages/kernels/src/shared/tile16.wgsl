// tile8.wgsl for subgroups: 16 rows, and 4 columns of each invocation. Needs subgroup_tile.wgsl, one of weight_f32.wgsl
// and weight_f16.wgsl, and one of block_nn.wgsl and block_nt.wgsl.

@group(0) @binding(0) var<storage, read> a: array<vec4f>;

// As tile8: `row` is the same in all of a subgroup, `first` each invocation's own.
fn tile16(base: u32, row: u32, rows: u32, k4: u32, first: u32, stride: u32, lane: u32) -> Tile16 {
  let last = rows - 1u;
  let i0 = base + min(row + own_row(0u, lane), last) * k4;
  let i1 = base + min(row + own_row(1u, lane), last) * k4;
  let i2 = base + min(row + own_row(2u, lane), last) * k4;
  let i3 = base + min(row + own_row(3u, lane), last) * k4;
  var t = Tile16();
  for (var k = 0u; k < k4; k++) {
    let x0 = a[i0 + k];
    let x1 = a[i1 + k];
    var x2 = vec4f();
    var x3 = vec4f();
    if SUBGROUP == 4u {
      x2 = a[i2 + k];
      x3 = a[i3 + k];
    }
    t = add_steps(t, x0, x1, x2, x3, load_block(first, k, stride));
  }
  return t;
}
