// Multiplies gradients in place by what keeps their common norm within a limit, as PyTorch's clip_grad_norm_:
// out *= min(1, limit / (norm·unscale + 1e-6)) · unscale, where `unscale` undoes the scaling of a loss.
//
// Layout   out is flat, `count` vec4s from `start` on; norm is one number on the device.
// Cost     8 bytes a number.

override WG: u32 = 64;

struct Params {
  start: u32,
  count: u32,
  limit: f32,
  unscale: f32,
}

@group(0) @binding(0) var<storage, read> norm: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var item = linear_index(group, groups, local, WG); item < params.count; item += linear_step(groups, WG)) {
    out[params.start + item] *= min(1.0, params.limit / (norm[0] * params.unscale + 1e-6)) * params.unscale;
  }
}
