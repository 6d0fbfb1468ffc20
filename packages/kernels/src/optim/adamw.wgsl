// One AdamW step (arXiv 1711.05101) of many parameters that lie side by side:
//   value −= lr·decay·value;  m += (1−β1)(g − m);  v = β2·v + (1−β2)·g²;
//   value −= lr/correction1 · m / (√v/√correction2 + eps)
// in PyTorch's order of operations.
//
// With params.guarded, nothing changes where the norm of the gradients is infinite or no number: a step that went wrong
// must not spread to all weights before anyone has looked.
//
// Layout   value, gradient, m and v are flat and of one layout; the launch covers `count` vec4s from `start` on.
// Cost     28 bytes and about 14 FLOPs a number.

override WG: u32 = 64;

struct Params {
  start: u32,
  count: u32,
  beta2: f32,
  // 1 − β, from the host: 1 − 0.999 in f32 is off by 1e-5.
  rest1: f32,
  rest2: f32,
  eps: f32,
  // 1 − lr · weight decay
  keep: f32,
  // lr / (1 − β1^step), and √(1 − β2^step)
  step_size: f32,
  correction2: f32,
  guarded: u32,
}

@group(0) @binding(0) var<storage, read_write> value: array<vec4f>;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(4) var<storage, read> norm: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  // By its bits: comparisons may assume that there is no NaN.
  if params.guarded == 1u && (norm[0] & 0x7f800000u) == 0x7f800000u { return; }
  for (var item = linear_index(group, groups, local, WG); item < params.count; item += linear_step(groups, WG)) {
    let i = params.start + item;
    let g = gradient[i];
    let first = m[i] + params.rest1 * (g - m[i]);
    let second = params.beta2 * v[i] + params.rest2 * g * g;
    m[i] = first;
    v[i] = second;
    let spread = sqrt(second) / params.correction2 + params.eps;
    value[i] = value[i] * params.keep - params.step_size * (first / spread);
  }
}
