// Sine and cosine, good to 2^-22 for arguments up to 2^13·π/2 in size.
//
// WGSL promises its own only within ±π, to 2^-11. Here the argument is brought into ±π/4 by subtracting a
// multiple of π/2 in three parts, of which the first two products are exact (Cody and Waite), and sine and
// cosine are minimax polynomials.
struct SinCos {
  sin: vec4f,
  cos: vec4f,
}

fn sincos4(x: vec4f) -> SinCos {
  let n = round(x * 0.6366197723675814);
  let y = ((x - n * 1.5703125) - n * 4.837512969970703125e-4) - n * 7.54978995489188216e-8;
  let y2 = y * y;
  let s = y + y * y2 * (-1.6666654611e-1 + y2 * (8.3321608736e-3 - y2 * 1.9515295891e-4));
  let c = 1.0 - 0.5 * y2
    + y2 * y2 * (4.166664568298827e-2 + y2 * (-1.388731625493765e-3 + y2 * 2.443315711809948e-5));
  let quarter = vec4i(n) & vec4i(3);
  let swapped = (quarter & vec4i(1)) == vec4i(1);
  let sine = select(s, c, swapped) * select(vec4f(1.0), vec4f(-1.0), quarter >= vec4i(2));
  let flipped = ((quarter + vec4i(1)) & vec4i(3)) >= vec4i(2);
  let cosine = select(c, s, swapped) * select(vec4f(1.0), vec4f(-1.0), flipped);
  return SinCos(sine, cosine);
}
