// Attention for software adapters with subgroups: what attention.wgsl computes.
//
// Layout   as there.
// Needs    A head size divisible by 4, up to 128, D4 = d; workgroups of one subgroup, WG = SUBGROUP, as
//          shared/subgroup_tile.wgsl wants them.
// Cost     4 · queries · keys · head size FLOPs a head; no score is stored.
//
// A subgroup takes 16 queries of one head, and the keys in blocks of 64. Both products go by the tile of
// subgroup_tile.wgsl: first the scores, where an invocation has 4 keys at a time, then the values, where it has 4
// columns. Between them an invocation works out the softmax of its own rows. What is gathered of the output stays in
// workgroup memory, since a head may have more columns than registers hold; barriers wait for nobody in a workgroup of
// one subgroup.

override WG: u32 = 4;
override D4: u32 = 1;

const ROWS = 16u;
const BLOCK = 64u;
const BLOCK4 = BLOCK / 4u;

// By row: four keys to a vec4, first as scores, then as shares of the softmax.
var<workgroup> scores: array<vec4f, ROWS * BLOCK4>;
var<workgroup> gathered: array<vec4f, ROWS * D4>;
// Of a row: the largest score, the denominator, and by how much the block rescales what was gathered before it.
var<workgroup> rows: array<vec3f, ROWS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first_row = group.x * ROWS;
  let head = group.y;
  let batch = group.z;
  let last_row = params.queries - 1u;
  // Loops over this many are not unrolled, since no compiler knows it beforehand: unrolled, they take seconds to compile.
  let count_rows = min(ROWS, params.queries - first_row);
  let q_base = params.q_view.x + batch * params.q_view.z + head * D4;
  let q0 = q_base + min(first_row + own_row(0u, lane), last_row) * params.q_view.y;
  let q1 = q_base + min(first_row + own_row(1u, lane), last_row) * params.q_view.y;
  let q2 = q_base + min(first_row + own_row(2u, lane), last_row) * params.q_view.y;
  let q3 = q_base + min(first_row + own_row(3u, lane), last_row) * params.q_view.y;
  for (var r = lane; r < ROWS; r += SUBGROUP) { rows[r] = vec3f(LOWEST, 0.0, 1.0); }
  for (var i = lane; i < ROWS * D4; i += SUBGROUP) { gathered[i] = vec4f(); }

  let own_blocks = (params.keys + BLOCK - 1u) / BLOCK;
  let blocks = own_blocks + (params.extra + BLOCK - 1u) / BLOCK;
  for (var block = 0u; block < blocks; block++) {
    let is_extra = block >= own_blocks;
    let start = select(block, block - own_blocks, is_extra) * BLOCK;
    let end = select(params.keys, params.extra, is_extra);
    let count = min(BLOCK, end - start);
    let count4 = (count + 3u) / 4u;
    let offset = select(0u, params.keys, is_extra) + start;

    let k_rows = select(params.k_view, params.k2_view, is_extra);
    let k_base = k_rows.x + batch * k_rows.z + head * D4;
    for (var first = 0u; first < count4; first += SUBGROUP) {
      let key = 4u * (first + lane);
      let a = k_base + min(start + key, end - 1u) * k_rows.y;
      let b = k_base + min(start + key + 1u, end - 1u) * k_rows.y;
      let c = k_base + min(start + key + 2u, end - 1u) * k_rows.y;
      let d = k_base + min(start + key + 3u, end - 1u) * k_rows.y;
      var t = Tile16();
      for (var i = 0u; i < D4; i++) {
        let x0 = q[q0 + i];
        let x1 = q[q1 + i];
        var x2 = vec4f();
        var x3 = vec4f();
        if SUBGROUP == 4u {
          x2 = q[q2 + i];
          x3 = q[q3 + i];
        }
        let keys = mat4x4f(
          key_at(is_extra, a + i),
          key_at(is_extra, b + i),
          key_at(is_extra, c + i),
          key_at(is_extra, d + i),
        );
        t = add_steps(t, x0, x1, x2, x3, transpose(keys));
      }
      if key < count {
        var quads = array(t.t0, t.t1, t.t2, t.t3);
        for (var i = 0u; i < 4u; i++) {
          for (var j = 0u; j < 4u && 4u * i + j < count_rows; j++) {
            let r = 4u * i + j;
            scores[r * BLOCK4 + first + lane] =
              finish(batch, head, first_row + r, offset + key, count - key, quads[i][j]);
          }
        }
      }
    }
    workgroupBarrier();

    for (var r = lane; r < count_rows; r += SUBGROUP) {
      let base = r * BLOCK4;
      let before = rows[r];
      var top = scores[base];
      for (var i = 1u; i < count4; i++) { top = max(top, scores[base + i]); }
      let peak = max(max(before.x, max(top.x, top.y)), max(top.z, top.w));
      var total = vec4f();
      for (var i = 0u; i < count4; i++) {
        let p = exp(scores[base + i] - peak);
        total += p;
        let query = batch * params.queries + first_row + r;
        scores[base + i] = weighted(p, batch, head, query, is_extra, start + 4u * i, end);
      }
      let factor = exp(before.x - peak);
      rows[r] = vec3f(peak, before.y * factor + (total.x + total.y) + (total.z + total.w), factor);
    }
    workgroupBarrier();

    let v_rows = select(params.v_view, params.v2_view, is_extra);
    let v_base = v_rows.x + batch * v_rows.z + head * D4;
    for (var first = 0u; first < D4; first += SUBGROUP) {
      let column = min(first + lane, D4 - 1u);
      var t = Tile16();
      for (var i = 0u; i < count4; i++) {
        let x0 = scores[own_row(0u, lane) * BLOCK4 + i];
        let x1 = scores[own_row(1u, lane) * BLOCK4 + i];
        var x2 = vec4f();
        var x3 = vec4f();
        if SUBGROUP == 4u {
          x2 = scores[own_row(2u, lane) * BLOCK4 + i];
          x3 = scores[own_row(3u, lane) * BLOCK4 + i];
        }
        let key = start + 4u * i;
        let values = mat4x4f(
          value_at(is_extra, v_base + column + key * v_rows.y),
          value_at(is_extra, v_base + column + min(key + 1u, end - 1u) * v_rows.y),
          value_at(is_extra, v_base + column + min(key + 2u, end - 1u) * v_rows.y),
          value_at(is_extra, v_base + column + min(key + 3u, end - 1u) * v_rows.y),
        );
        t = add_steps(t, x0, x1, x2, x3, values);
      }
      if first + lane < D4 {
        var quads = array(t.t0, t.t1, t.t2, t.t3);
        for (var i = 0u; i < 4u; i++) {
          for (var j = 0u; j < 4u && 4u * i + j < count_rows; j++) {
            let r = 4u * i + j;
            gathered[r * D4 + column] = fma(gathered[r * D4 + column], vec4f(rows[r].z), quads[i][j]);
          }
        }
      }
    }
    workgroupBarrier(); // the next block's scores take the place of these
  }

  for (var r = 0u; r < count_rows; r++) {
    let to = (batch * params.queries + first_row + r) * params.heads + head;
    for (var column = lane; column < D4; column += SUBGROUP) {
      out[to * D4 + column] = gathered[r * D4 + column] / rows[r].y;
    }
    if lane == 0u && params.stats_start > 0u { store_stats(to, rows[r].x, rows[r].y); }
  }
}
