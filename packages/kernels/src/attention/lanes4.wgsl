// Attention by vec4s: head sizes and starts of rows are divisible by 4.
alias T = vec4f;
const LANES = 4u;
const MAX_D = 32;

fn product(a: T, b: T) -> f32 { return dot(a, b); }

// The T at `i` of four numbers.
fn piece(x: vec4f, i: u32) -> T { return x; }
