// Draws classes from softmax((h·weight + bias)·scale) without storing the logits: pass 1 of two. One invocation
// multiplies 8 rows with every chunks-th vec4 of classes and keeps the best score of each row.
//
// Layout   h [rows,c], weight [c,classes], bias [classes], row-major f32; weight may be
//          f16; best [chunks,rows] of (score bits, class).
// Needs    c and classes divisible by 4.
// Cost     2·rows·c·classes FLOPs and half a threefry block and two logarithms a logit; writes 8·rows·chunks bytes.
//
// The register tile is that of matmul.wgsl, for the same reasons. Classes are dealt to chunks in turn, so that
// invocations of neighbouring chunks read neighbouring weights.

override WG: u32 = 64;
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

@group(0) @binding(0) var<storage, read> h: array<vec4f>;
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

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = linear_index(group, groups, local, WG);
  let row_tiles = (params.rows + 7u) / 8u;
  let chunk = tile / row_tiles;
  let row = (tile % row_tiles) * 8u;
  if chunk >= params.chunks { return; }
  let last = params.rows - 1u;
  let i0 = row * params.c4;
  let i1 = min(row + 1u, last) * params.c4;
  let i2 = min(row + 2u, last) * params.c4;
  let i3 = min(row + 3u, last) * params.c4;
  let i4 = min(row + 4u, last) * params.c4;
  let i5 = min(row + 5u, last) * params.c4;
  let i6 = min(row + 6u, last) * params.c4;
  let i7 = min(row + 7u, last) * params.c4;
  var found: array<Best, 8>;
  for (var r = 0u; r < 8u; r++) { found[r] = Best(LOWEST, 4u * chunk); }
  for (var column = chunk; column < params.classes4; column += params.chunks) {
    var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
    var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
    var j = column;
    for (var k = 0u; k < params.c4; k++) {
      let w0 = load_weight(j);
      let w1 = load_weight(j + params.classes4);
      let w2 = load_weight(j + 2u * params.classes4);
      let w3 = load_weight(j + 3u * params.classes4);
      j += 4u * params.classes4;
      s0 = rank4(h[i0 + k], w0, w1, w2, w3, s0);
      s1 = rank4(h[i1 + k], w0, w1, w2, w3, s1);
      s2 = rank4(h[i2 + k], w0, w1, w2, w3, s2);
      s3 = rank4(h[i3 + k], w0, w1, w2, w3, s3);
      s4 = rank4(h[i4 + k], w0, w1, w2, w3, s4);
      s5 = rank4(h[i5 + k], w0, w1, w2, w3, s5);
      s6 = rank4(h[i6 + k], w0, w1, w2, w3, s6);
      s7 = rank4(h[i7 + k], w0, w1, w2, w3, s7);
    }
    // A loop keeps the noise's code small: unrolled, it takes a software adapter seconds to compile.
    var sums = array(s0, s1, s2, s3, s4, s5, s6, s7);
    for (var r = 0u; r < 8u; r++) { found[r] = consider(row + r, column, sums[r], found[r]); }
  }
  for (var r = 0u; r < 8u && row + r < params.rows; r++) {
    best[chunk * params.rows + row + r] = vec2u(bitcast<u32>(found[r].score), found[r].label);
  }
}
