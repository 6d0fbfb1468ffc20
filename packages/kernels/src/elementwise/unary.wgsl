// An elementwise function: out[i] = f(x[i]).
//
// Layout   x and out are any shape, read as vec4s; buffers are padded to whole vec4s.
// Cost     8 bytes an element.

override WG: u32 = 64;
override OP: u32 = 0;

struct Params {
  vec4s: u32,
  alpha: f32,
  beta: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

// The numbers are those of UNARY in plan.ts; below 16 they are activations.
fn apply(v: vec4f) -> vec4f {
  switch OP {
    case 16u: { return -v; }
    case 17u: { return abs(v); }
    case 18u: { return exp(v); }
    case 19u: { return log(v); }
    case 20u: { return sqrt(v); }
    case 21u: { return v * v; }
    case 22u: { return sincos4(v).sin; }
    case 23u: { return sincos4(v).cos; }
    case 24u: { return select(params.alpha * v, v, v > vec4f(0.0)); }
    case 25u: { return clamp(v, vec4f(params.alpha), vec4f(params.beta)); }
    default: { return activate(OP, v); }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); i < params.vec4s; i += linear_step(groups, WG)) {
    out[i] = apply(x[i]);
  }
}
