// One step of stochastic gradient descent, as PyTorch's, of many parameters that lie side by side:
//   g += decay·value;  velocity = momentum·velocity + g;  value −= lr·(velocity, or g + momentum·velocity)
//
// Layout   value, gradient and velocity are flat and of one layout; the launch covers `count` vec4s from `start` on.
// Cost     20 bytes and about 6 FLOPs a number.

override WG: u32 = 64;

struct Params {
  start: u32,
  count: u32,
  lr: f32,
  momentum: f32,
  decay: f32,
  // 1: looks ahead, arXiv 1212.0901.
  nesterov: u32,
}

@group(0) @binding(0) var<storage, read_write> value: array<vec4f>;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> velocity: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var item = linear_index(group, groups, local, WG); item < params.count; item += linear_step(groups, WG)) {
    let i = params.start + item;
    let g = gradient[i] + params.decay * value[i];
    let moving = params.momentum * velocity[i] + g;
    velocity[i] = moving;
    let step = select(moving, g + params.momentum * moving, params.nesterov == 1u);
    value[i] -= params.lr * step;
  }
}
