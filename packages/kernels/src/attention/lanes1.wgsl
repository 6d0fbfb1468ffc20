// Attention by single numbers: heads of any size, rows that start anywhere.
alias T = f32;
const LANES = 1u;
const MAX_D = 128;

fn product(a: T, b: T) -> f32 { return a * b; }

// The T at `i` of four numbers.
fn piece(x: vec4f, i: u32) -> T { return x[i]; }
