// Activations by number, so that a matmul epilogue and the elementwise kernel agree to the bit.
// The numbers are those of ACTIVATIONS in activation.ts.

// erf by Abramowitz & Stegun 7.1.26: absolute error below 1.5e-7, which is f32 rounding for GELU.
fn erf4(x: vec4f) -> vec4f {
  let a = abs(x);
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return sign(x) * (1.0 - p * exp(-a * a));
}

// tanh of a large argument overflows to NaN on some drivers; 15 is where f32 has long reached 1.
fn tanh4(x: vec4f) -> vec4f {
  return tanh(clamp(x, vec4f(-15.0), vec4f(15.0)));
}

fn sigmoid4(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp(-clamp(x, vec4f(-87.0), vec4f(87.0))));
}

fn activate(kind: u32, x: vec4f) -> vec4f {
  switch kind {
    case 1u: { return 0.5 * x * (1.0 + erf4(x * 0.7071067811865476)); }
    case 2u: { return 0.5 * x * (1.0 + tanh4(0.7978845608028654 * (x + 0.044715 * x * x * x))); }
    case 3u: { return x * sigmoid4(x); }
    case 4u: { return max(x, vec4f(0.0)); }
    case 5u: { return tanh4(x); }
    case 6u: { return sigmoid4(x); }
    default: { return x; }
  }
}
