// Sinusoidal embedding: out[b] = [sin(r·scale·f), cos(r·scale·f), 0 if the width is odd].
//
// Layout   r [batch], frequencies [half], out [batch,width].
// Needs    Arguments below 2^13·π/2 in size.
//
// Arguments reach 10,000 radians, so the sine is our own (shared/sincos.wgsl).

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
  let wave = sincos4(vec4f((r[b] * params.scale) * frequencies[k]));
  out[at] = wave.sin.x;
  out[at + params.half] = wave.cos.x;
  if k == 0u && params.width % 2u == 1u { out[(b + 1u) * params.width - 1u] = 0.0; }
}
