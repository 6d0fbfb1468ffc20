// The gradients of attention's keys and values, one invocation a key and head; formulas are in grad_operands.wgsl.
//
// Layout   out has dk at a_view and dv at b_view, for each batch entry, even where entries share keys.
// Needs    A head size up to 128: this is the twin that grad_key.wgsl is tested against, and serves odd sizes.
// Cost     8 · queries · keys · head size FLOPs a head, two loads an FMA.

override WG: u32 = 16;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let key = id.x;
  let head = id.y;
  let batch = id.z;
  if key >= params.keys { return; }
  var dk: array<T, MAX_D>;
  var dv: array<T, MAX_D>;
  for (var row = 0u; row < params.queries; row++) {
    let share = pair(batch, head, row, key);
    let ds = params.scale * share.y;
    let from_q = at(params.q_view, batch, row, head);
    let from_g = query_index(batch, row, head) * params.d;
    for (var i = 0u; i < params.d; i++) {
      dk[i] += ds * q[from_q + i];
      dv[i] += share.x * g[from_g + i];
    }
  }
  let to_k = at(params.a_view, batch, key, head);
  let to_v = at(params.b_view, batch, key, head);
  for (var i = 0u; i < params.d; i++) {
    out[to_k + i] = dk[i];
    out[to_v + i] = dv[i];
  }
}
