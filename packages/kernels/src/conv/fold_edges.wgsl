// The gradient of replication padding: every edge pixel gets the sum of what was padded from it.
//
// Layout   x [b,h+2p,w+2p,c], out [b,h,w,c] of T (shared/lanes.ts), f32 or vec4f. Vectors of a width and a height are in
//          that order.
// Needs    c divisible by 4 where T is vec4f.
// Cost     Reads x once; one invocation a T.

override WG: u32 = 64;

struct Params {
  // Of out.
  size: vec2u,
  padding: u32,
  // In Ts.
  channels: u32,
  images: u32,
}

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read_write> out: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let element = linear_index(group, groups, local, WG);
  let channel = element % params.channels;
  let pixel = element / params.channels;
  let row = pixel / params.size.x;
  if row >= params.images * params.size.y { return; }
  let at = vec2u(pixel % params.size.x, row % params.size.y);
  let image = row / params.size.y;
  let padded = params.size + 2u * params.padding;
  let low = select(at + params.padding, vec2u(), at == vec2u());
  let high = select(at + params.padding, padded - 1u, at == params.size - 1u);
  var sum = T();
  for (var y = low.y; y <= high.y; y++) {
    for (var column = low.x; column <= high.x; column++) {
      sum += x[((image * padded.y + y) * padded.x + column) * params.channels + channel];
    }
  }
  out[element] = sum;
}
