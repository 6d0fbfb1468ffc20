// For every channel of a sample, over the positions of each chunk of it: Σ a·b, then Σ b.
//
// Layout   a and b [samples,positions,channels]; out [samples,chunks,2·channels], products first; channels count Ts.
// Cost     Reads a and b once. The host adds the chunks.

override WG: u32 = 64;

struct Params {
  samples: u32,
  positions: u32,
  channels: u32,
  chunks: u32,
  chunk: u32,
}

@group(0) @binding(0) var<storage, read> a: array<T>;
@group(0) @binding(1) var<storage, read> b: array<T>;
@group(0) @binding(2) var<storage, read_write> out: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG);
  if item >= params.samples * params.chunks * params.channels { return; }
  let c = item % params.channels;
  let piece = item / params.channels;
  let start = piece % params.chunks * params.chunk;
  let end = min(start + params.chunk, params.positions);
  let base = piece / params.chunks * params.positions * params.channels + c;
  var dots = T();
  var sum = T();
  for (var p = start; p < end; p++) {
    let y = b[base + p * params.channels];
    dots += a[base + p * params.channels] * y;
    sum += y;
  }
  out[piece * 2u * params.channels + c] = dots;
  out[(piece * 2u + 1u) * params.channels + c] = sum;
}
