// What an adapter adds and multiplies at best: chains of fused multiply-adds in registers, each waiting only for itself.
//
// Layout: `out` holds a number an invocation, so that nothing can be left out.
// Needs: nothing optional. `CHAINS` is how many vec4 a thread works on at a time: enough to fill a processor's pipelines,
//   not so many that they leave its registers.
// Cost: ROUNDS · 16 · CHAINS · 8 FLOP an invocation, 4 bytes.

override WG: u32 = 64;
override CHAINS: u32 = 8;
override ROUNDS: u32 = 256;

@group(0) @binding(0) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  // Values that the compiler does not know, and that stay near 1.
  let seed = f32(id.x & 7) * 0.0625;
  let a = vec4f(0.5 + seed);
  let b = vec4f(0.5 - seed);
  var c0 = vec4f(seed);
  var c1 = vec4f(seed + 1);
  var c2 = vec4f(seed + 2);
  var c3 = vec4f(seed + 3);
  var c4 = vec4f(seed + 4);
  var c5 = vec4f(seed + 5);
  var c6 = vec4f(seed + 6);
  var c7 = vec4f(seed + 7);
  for (var round = 0u; round < ROUNDS; round++) {
    for (var i = 0u; i < 16; i++) {
      c0 = fma(c0, a, b);
      c1 = fma(c1, a, b);
      if (CHAINS > 2) {
        c2 = fma(c2, a, b);
        c3 = fma(c3, a, b);
      }
      if (CHAINS > 4) {
        c4 = fma(c4, a, b);
        c5 = fma(c5, a, b);
        c6 = fma(c6, a, b);
        c7 = fma(c7, a, b);
      }
    }
  }
  out[id.x] = dot(c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7, vec4f(1));
}
