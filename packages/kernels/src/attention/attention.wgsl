// Attention with online softmax: out = Σ_j weight_j · softmax_j(scale · q·k_j + bias_j) · v_j, by heads.
// The keys are `keys` rows of k, then `extra` rows of k2 (the tokens themselves, then the condition).
//
// Layout   q, k, v, k2, v2 are rows of some width, of which head h takes d4 vec4s from `start + h·d4` on,
//          so that several of them may lie in one packed projection; out [batch,queries,heads·d4] vec4s.
//          bias has strides for batch, head, query and key; weights one for the batch.
// Needs    A head size divisible by 4, up to 128; WG = d4 · 4. Mask with large finite values.
// Cost     4 · queries · keys · head size FLOPs a head; no score is stored.
//
// A workgroup takes 16 queries of one head, and the keys in blocks of 64. First an invocation computes
// scores of 4 queries × 4 keys, then the block's part of the softmax is worked out, then an invocation adds
// 4 queries × 4 columns of values: 8 vec4 loads for 16 vec4 FMAs in both products. The block's scores pass
// from one step to the next through workgroup memory, which costs two barriers a block but keeps every loop
// short. To give an invocation whole queries, with head size 80 in registers, took some drivers a minute to
// compile.

override WG: u32 = 64;

const ROWS = 16u;
const BLOCK = 64u;
const BLOCK4 = BLOCK / 4u;
// By row, then four keys to a vec4.
var<workgroup> scores: array<vec4f, ROWS * BLOCK4>;
var<workgroup> shares: array<vec4f, ROWS * BLOCK4>;
// The largest score of a row before and after a block; even and odd blocks take turns.
var<workgroup> peaks: array<f32, 2u * ROWS>;
// By how much a block rescales what a row gathered before it.
var<workgroup> rescale: array<f32, ROWS>;
// Each row's denominator, in four parts.
var<workgroup> totals: array<f32, ROWS * 4u>;

fn dots(x: vec4f, a: vec4f, b: vec4f, c: vec4f, d: vec4f) -> vec4f {
  return vec4f(dot(x, a), dot(x, b), dot(x, c), dot(x, d));
}

fn mix4(p: vec4f, a: vec4f, b: vec4f, c: vec4f, d: vec4f, sum: vec4f) -> vec4f {
  return fma(vec4f(p.w), d, fma(vec4f(p.z), c, fma(vec4f(p.y), b, fma(vec4f(p.x), a, sum))));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let first_row = group.x * ROWS;
  let head = group.y;
  let batch = group.z;
  let last_row = params.queries - 1u;
  let d4 = params.d; // T is a vec4f here
  let q_base = params.q_view.x + batch * params.q_view.z + head * d4;

  for (var i = local; i < 2u * ROWS; i += WG) { peaks[i] = LOWEST; }
  for (var i = local; i < 4u * ROWS; i += WG) { totals[i] = 0.0; }
  workgroupBarrier();

  // What this invocation adds up: four rows and one vec4 column of the output.
  let column = local / 4u;
  let rows = local % 4u * 4u;
  var o0 = vec4f(); var o1 = vec4f(); var o2 = vec4f(); var o3 = vec4f();

  let own_blocks = (params.keys + BLOCK - 1u) / BLOCK;
  let blocks = own_blocks + (params.extra + BLOCK - 1u) / BLOCK;
  for (var block = 0u; block < blocks; block++) {
    let is_extra = block >= own_blocks;
    let start = select(block, block - own_blocks, is_extra) * BLOCK;
    let end = select(params.keys, params.extra, is_extra);
    let count = min(BLOCK, end - start);
    let offset = select(0u, params.keys, is_extra) + start;

    // Scores. Neighbouring invocations share keys.
    for (var item = local; item < 4u * BLOCK4; item += WG) {
      let key = item / 4u * 4u;
      let r = item % 4u * 4u;
      var s0 = vec4f(PAST_END); var s1 = s0; var s2 = s0; var s3 = s0;
      if key < count {
        let r0 = min(first_row + r, last_row);
        let r1 = min(first_row + r + 1u, last_row);
        let r2 = min(first_row + r + 2u, last_row);
        let r3 = min(first_row + r + 3u, last_row);
        let q0 = q_base + r0 * params.q_view.y;
        let q1 = q_base + r1 * params.q_view.y;
        let q2 = q_base + r2 * params.q_view.y;
        let q3 = q_base + r3 * params.q_view.y;
        let view = select(params.k_view, params.k2_view, is_extra);
        let base = view.x + batch * view.z + head * d4;
        let a = base + (start + key) * view.y;
        let b = base + min(start + key + 1u, end - 1u) * view.y;
        let c = base + min(start + key + 2u, end - 1u) * view.y;
        let d = base + min(start + key + 3u, end - 1u) * view.y;
        var t0 = vec4f(); var t1 = vec4f(); var t2 = vec4f(); var t3 = vec4f();
        for (var i = 0u; i < d4; i++) {
          let ka = key_at(is_extra, a + i);
          let kb = key_at(is_extra, b + i);
          let kc = key_at(is_extra, c + i);
          let kd = key_at(is_extra, d + i);
          t0 += dots(q[q0 + i], ka, kb, kc, kd);
          t1 += dots(q[q1 + i], ka, kb, kc, kd);
          t2 += dots(q[q2 + i], ka, kb, kc, kd);
          t3 += dots(q[q3 + i], ka, kb, kc, kd);
        }
        let left = count - key;
        s0 = finish(batch, head, r0, offset + key, left, t0);
        s1 = finish(batch, head, r1, offset + key, left, t1);
        s2 = finish(batch, head, r2, offset + key, left, t2);
        s3 = finish(batch, head, r3, offset + key, left, t3);
      }
      let to = r * BLOCK4 + key / 4u;
      scores[to] = s0;
      scores[to + BLOCK4] = s1;
      scores[to + 2u * BLOCK4] = s2;
      scores[to + 3u * BLOCK4] = s3;
    }
    workgroupBarrier();

    // Softmax. Four invocations share a row: each looks for its largest score, and exponentiates a quarter.
    let before = block % 2u * ROWS;
    let after = ROWS - before;
    for (var item = local; item < 4u * ROWS; item += WG) {
      let row = item / 4u;
      let base = row * BLOCK4;
      var top = scores[base];
      for (var i = 1u; i < (count + 3u) / 4u; i++) { top = max(top, scores[base + i]); }
      let old = peaks[before + row];
      let peak = max(max(old, max(top.x, top.y)), max(top.z, top.w));
      let factor = exp(old - peak);
      var total = vec4f();
      for (var i = item % 4u; i < (count + 3u) / 4u; i += 4u) {
        let p = exp(scores[base + i] - peak);
        total += p;
        let query = batch * params.queries + min(first_row + row, last_row);
        shares[base + i] = weighted(p, batch, head, query, is_extra, start + 4u * i, end);
      }
      totals[item] = totals[item] * factor + (total.x + total.y) + (total.z + total.w);
      if item % 4u == 0u {
        peaks[after + row] = peak;
        rescale[row] = factor;
      }
    }
    workgroupBarrier();

    // Values.
    o0 *= rescale[rows];
    o1 *= rescale[rows + 1u];
    o2 *= rescale[rows + 2u];
    o3 *= rescale[rows + 3u];
    let view = select(params.v_view, params.v2_view, is_extra);
    let base = view.x + batch * view.z + head * d4 + column;
    for (var key = 0u; key < count; key += 4u) {
      let a = base + (start + key) * view.y;
      let b = base + min(start + key + 1u, end - 1u) * view.y;
      let c = base + min(start + key + 2u, end - 1u) * view.y;
      let d = base + min(start + key + 3u, end - 1u) * view.y;
      let va = value_at(is_extra, a);
      let vb = value_at(is_extra, b);
      let vc = value_at(is_extra, c);
      let vd = value_at(is_extra, d);
      let at = rows * BLOCK4 + key / 4u;
      o0 = mix4(shares[at], va, vb, vc, vd, o0);
      o1 = mix4(shares[at + BLOCK4], va, vb, vc, vd, o1);
      o2 = mix4(shares[at + 2u * BLOCK4], va, vb, vc, vd, o2);
      o3 = mix4(shares[at + 3u * BLOCK4], va, vb, vc, vd, o3);
    }
  }

  // The peaks that the last block left are in the half that the next one would start from.
  let last = blocks % 2u * ROWS;
  store(batch, first_row + rows, head, column, rows, peaks[last + rows], o0);
  store(batch, first_row + rows + 1u, head, column, rows + 1u, peaks[last + rows + 1u], o1);
  store(batch, first_row + rows + 2u, head, column, rows + 2u, peaks[last + rows + 2u], o2);
  store(batch, first_row + rows + 3u, head, column, rows + 3u, peaks[last + rows + 3u], o3);
}

// Every total was written before the last barrier.
fn store(batch: u32, row: u32, head: u32, column: u32, local_row: u32, peak: f32, sum: vec4f) {
  if row >= params.queries { return; }
  let t = local_row * 4u;
  let total = (totals[t] + totals[t + 1u]) + (totals[t + 2u] + totals[t + 3u]);
  let to = (batch * params.queries + row) * params.heads + head;
  out[to * params.d + column] = sum / total;
  if column == 0u && params.stats_start > 0u { store_stats(to, peak, total); }
}
