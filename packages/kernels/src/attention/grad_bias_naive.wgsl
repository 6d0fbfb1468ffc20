// The gradient of attention's bias: score gradients ds, summed over what the bias repeats over, one invocation an
// element of the bias. T is f32; formulas are in grad_operands.wgsl.
//
// Layout   out is laid out as the bias, whose first three dimensions have the lengths a_view; 1 repeats. The last one
//          has a number for each key.
// Cost     4 · head size FLOPs for each score, and no reuse: for biases that are trained, as in T5, on few tokens.

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let own = params.a_view;
  let i = linear_index(group, groups, local, WG);
  if i >= own.x * own.y * own.z * params.keys { return; }
  let key = i % params.keys;
  let rest = i / params.keys;
  let first = vec3u(rest / (own.z * own.y), rest / own.z % own.y, rest % own.z);
  let repeats = vec3u(params.batches, params.heads, params.queries) / own;
  var sum = 0.0;
  for (var b = 0u; b < repeats.x; b++) {
    for (var h = 0u; h < repeats.y; h++) {
      for (var n = 0u; n < repeats.z; n++) {
        sum += pair(first.x + b, first.y + h, first.z + n, key).y;
      }
    }
  }
  out[dot(vec4u(first, params.first_key + key), params.bias_strides)] = sum;
}
