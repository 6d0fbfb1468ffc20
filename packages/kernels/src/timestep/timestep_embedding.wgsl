// Sinusoidal embedding: out[b] = [sin(r·scale·f), cos(r·scale·f), 0 if the width is odd].
//
// Layout   r [batch], frequencies [half], out [batch,width].
// Needs    Arguments below 2^13·π/2 in size.
//
// Arguments reach 10,000 radians, and WGSL promises its own sin and cos only within ±π, to 2^-11. Here the
// argument is brought into ±π/4 by subtracting a multiple of π/2 in three parts, of which the first two
// products are exact (Cody and Waite), and sine and cosine are minimax polynomials: good to 2^-22.

override WG: u32 = 64;

struct Params {
  batch: u32,
  half: u32,
  width: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> r: array<f32>;
@group(0) @binding(1) var<storage, read> frequencies: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

// (sin x, cos x)
fn sincos(x: f32) -> vec2f {
  let n = round(x * 0.6366197723675814);
  let y = ((x - n * 1.5703125) - n * 4.837512969970703125e-4) - n * 7.54978995489188216e-8;
  let y2 = y * y;
  let s = y + y * y2 * (-1.6666654611e-1 + y2 * (8.3321608736e-3 - y2 * 1.9515295891e-4));
  let c = 1.0 - 0.5 * y2
    + y2 * y2 * (4.166664568298827e-2 + y2 * (-1.388731625493765e-3 + y2 * 2.443315711809948e-5));
  switch u32(i32(n)) & 3u {
    case 0u: { return vec2f(s, c); }
    case 1u: { return vec2f(c, -s); }
    case 2u: { return vec2f(-s, -c); }
    default: { return vec2f(-c, s); }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(group, groups, local, WG);
  if i >= params.batch * params.half { return; }
  let b = i / params.half;
  let k = i % params.half;
  let at = b * params.width + k;
  let wave = sincos((r[b] * params.scale) * frequencies[k]);
  out[at] = wave.x;
  out[at + params.half] = wave.y;
  if k == 0u && params.width % 2u == 1u { out[(b + 1u) * params.width - 1u] = 0.0; }
}
