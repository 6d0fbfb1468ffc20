// Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a keyed
// bijection of 64-bit counters made of additions, rotations and xors, so every adapter computes the same bits.
//
// A draw is a stream of 32-bit words: word i is half i & 1 of threefry(key, (stream, i >> 1)).
// Cost     about 115 integer operations for two words.

fn rotate_left(x: vec2u, by: u32) -> vec2u {
  return (x << vec2u(by)) | (x >> vec2u(32u - by));
}

// One round of two blocks side by side: xy holds the first halves, zw the second ones.
fn threefry_round(s: vec4u, by: u32) -> vec4u {
  let sum = s.xy + s.zw;
  return vec4u(sum, rotate_left(s.zw, by) ^ sum);
}

// Words 4·quad to 4·quad + 3 of a stream. Five times four rounds in a loop: written out, they take a software adapter
// as long to compile as the rest of a kernel.
fn random4(key: vec2u, stream: u32, quad: u32) -> vec4u {
  var k = vec3u(key, key.x ^ key.y ^ 0x1BD11BDAu);
  var s = vec4u(stream, stream, 2u * quad, 2u * quad + 1u) + k.xxyy;
  var by = vec4u(13u, 15u, 26u, 6u);
  var by_next = vec4u(17u, 29u, 16u, 24u);
  for (var i = 1u; i <= 5u; i++) {
    s = threefry_round(threefry_round(threefry_round(threefry_round(s, by.x), by.y), by.z), by.w);
    k = k.yzx;
    s += k.xxyy + vec4u(0u, 0u, i, i);
    let used = by;
    by = by_next;
    by_next = used;
  }
  return s.xzyw;
}

// Multiples of 2^-24 in [0, 1): the top 24 bits, so that no rounding reaches 1.
fn unit_uniform(bits: vec4u) -> vec4f {
  return vec4f(bits >> vec4u(8u)) * 0x1p-24;
}

// Exponential variates -ln(1 - v), v = (bits + 1/2)·2^-32, in [2^-33, 22.9] with a relative error below 1e-5.
// 1 - v is taken from the inverted bits, where nothing cancels. Where v is small WGSL's log (absolute error 2^-21
// near 1) would lose the result, and with it the order of the largest Gumbel variates; there a series serves.
fn exponential(bits: vec4u) -> vec4f {
  let v = (vec4f(bits) + 0.5) * 0x1p-32;
  let rest = (vec4f(~bits) + 0.5) * 0x1p-32;
  let series = v * (1.0 + v * (0.5 + v * (0.33333333 + v * (0.25 + v * (0.2 + v * (0.16666667 + v * 0.14285714))))));
  return select(-log(rest), series, v < vec4f(0.125));
}
