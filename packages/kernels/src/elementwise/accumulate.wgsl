// Adds to a tensor in place: out[i] += x[i], or out[i] = x[i] when fresh.
//
// Layout   x and out are any shape, read as vec4s. Lanes past the end become zero: out may be a part of a larger
//          tensor whose elements are summed, whatever the padding of x holds.
// Cost     12 bytes an element, 8 when fresh.

override WG: u32 = 64;

struct Params {
  // In numbers.
  size: u32,
  // 1: out held nothing.
  fresh: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); 4u * i < params.size; i += linear_step(groups, WG)) {
    var sum = x[i];
    if params.fresh == 0u { sum += out[i]; }
    out[i] = select(vec4f(), sum, vec4u(0u, 1u, 2u, 3u) + 4u * i < vec4u(params.size));
  }
}
