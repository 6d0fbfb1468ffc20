// The gradient of an elementwise function: out[i] = dy[i] · f'(x[i]).
//
// Layout   x, dy and out are any shape, read as vec4s; buffers are padded to whole vec4s.
// Cost     12 bytes an element.

override WG: u32 = 64;
// As in unary.wgsl.
override OP: u32 = 0;

struct Params {
  vec4s: u32,
  alpha: f32,
  beta: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

fn slope(v: vec4f) -> vec4f {
  let one = vec4f(1.0);
  let zero = vec4f();
  switch OP {
    // Φ(x) + x·φ(x)
    case 1u: {
      let density = 0.3989422804014327 * exp(-0.5 * v * v);
      return 0.5 * (1.0 + erf4(v * 0.7071067811865476)) + v * density;
    }
    case 2u: {
      let t = tanh4(0.7978845608028654 * (v + 0.044715 * v * v * v));
      return 0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * v * v);
    }
    case 3u: {
      let s = sigmoid4(v);
      return s + v * s * (1.0 - s);
    }
    case 4u: { return select(zero, one, v > zero); }
    case 5u: {
      let t = tanh4(v);
      return 1.0 - t * t;
    }
    case 6u: {
      let s = sigmoid4(v);
      return s * (1.0 - s);
    }
    case 16u: { return -one; }
    case 17u: { return sign(v); }
    case 18u: { return exp(v); }
    case 19u: { return 1.0 / v; }
    case 20u: { return 0.5 / sqrt(v); }
    case 21u: { return 2.0 * v; }
    case 22u: { return sincos4(v).cos; }
    case 23u: { return -sincos4(v).sin; }
    case 24u: { return select(vec4f(params.alpha), one, v > zero); }
    case 25u: { return select(zero, one, (v >= vec4f(params.alpha)) & (v <= vec4f(params.beta))); }
    default: { return one; }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var i = linear_index(group, groups, local, WG); i < params.vec4s; i += linear_step(groups, WG)) {
    out[i] = dy[i] * slope(x[i]);
  }
}
