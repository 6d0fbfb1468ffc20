// The gradient of attention's queries, one invocation a query and head; formulas are in grad_operands.wgsl.
//
// Layout   out has dq at a_view.
// Needs    A head size up to 128: this is the twin that grad_query.wgsl is tested against, and serves odd sizes.
// Cost     6 · queries · keys · head size FLOPs a head, two loads an FMA.

override WG: u32 = 16;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let head = id.y;
  let batch = id.z;
  if row >= params.queries { return; }
  var sums: array<T, MAX_D>;
  for (var key = 0u; key < params.keys; key++) {
    let ds = params.scale * pair(batch, head, row, key).y;
    let from_k = at(params.k_view, batch, key, head);
    for (var i = 0u; i < params.d; i++) { sums[i] += ds * k[from_k + i]; }
  }
  let to = at(params.a_view, batch, row, head);
  for (var i = 0u; i < params.d; i++) {
    if params.accumulate != 0u { out[to + i] += sums[i]; } else { out[to + i] = sums[i]; }
  }
}
