// Functions of two numbers, numbered as BINARY in plan.ts.
fn combine(op: u32, a: vec4f, b: vec4f) -> vec4f {
  switch op {
    case 0u: { return a + b; }
    case 1u: { return a - b; }
    case 2u: { return a * b; }
    case 3u: { return a / b; }
    case 4u: { return max(a, b); }
    case 5u: { return min(a, b); }
    // 1 where true, 0 where not
    case 7u: { return select(vec4f(), vec4f(1.0), a > b); }
    case 8u: { return select(vec4f(), vec4f(1.0), a == b); }
    default: { return pow(a, b); }
  }
}
