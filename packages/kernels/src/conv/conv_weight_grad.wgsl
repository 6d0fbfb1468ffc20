// The gradient of a dense convolution's weight: for every tap, the product of two images' channels over all pixels,
//   out[ky,kx,i,j] = Σ a[p·stride + (kx,ky) − padding, i] · b[p, j]   over the pixels p of b in all images.
// For a convolution a is x and b is dy; for a transposed one a is dy and b is x.
//
// Layout   a [n,ah,aw,ca], b [n,bh,bw,cb], out [chunks,kh,kw,ca,cb], channels last: chunk c covers `chunk` pixels from
//          c·chunk on, and the host adds them. Vectors of a width and a height are in that order.
// Needs    ca and cb divisible by 4.
// Cost     2·kh·kw·pixels·ca·cb FLOPs. An invocation computes 8 × 4 outputs of one tap: 3 vec4 loads for 8 vec4 FMAs a
//          pixel, as matmul_tn.wgsl, with a position found anew for every pixel.

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = linear_index(group, groups, local, WG);
  let rows = (params.a4 + 1u) / 2u;
  let column = tile % params.b4;
  let row4 = tile / params.b4 % rows * 2u;
  let tap = tile / (params.b4 * rows);
  if tap >= params.kernel.x * params.kernel.y { return; }
  let offset = vec2i(vec2u(tap % params.kernel.x, tap / params.kernel.x)) - i32(params.padding);
  let second = min(row4 + 1u, params.a4 - 1u);
  let start = group.z * params.chunk;
  let end = min(start + params.chunk, params.pixels);

  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  let row = start / params.grid.x;
  var at = vec2u(start % params.grid.x, row % params.grid.y);
  var image = row / params.grid.y * params.size.y;
  for (var p = start; p < end; p++) {
    let wanted = vec2i(at * params.stride) + offset;
    let source = clamp(wanted, vec2i(), vec2i(params.size) - 1);
    if params.replicate == 1u || all(source == wanted) {
      let i = ((image + u32(source.y)) * params.size.x + u32(source.x)) * params.a4;
      let x = a[i + row4];
      let y = a[i + second];
      let w = b[p * params.b4 + column];
      s0 = fma(vec4f(x.x), w, s0);
      s1 = fma(vec4f(x.y), w, s1);
      s2 = fma(vec4f(x.z), w, s2);
      s3 = fma(vec4f(x.w), w, s3);
      s4 = fma(vec4f(y.x), w, s4);
      s5 = fma(vec4f(y.y), w, s5);
      s6 = fma(vec4f(y.z), w, s6);
      s7 = fma(vec4f(y.w), w, s7);
    }
    at.x++;
    if at.x == params.grid.x {
      at = vec2u(0u, at.y + 1u);
      if at.y == params.grid.y {
        at.y = 0u;
        image += params.size.y;
      }
    }
  }
  let taps = params.kernel.x * params.kernel.y;
  let to = ((group.z * taps + tap) * params.a4 + row4) * 4u * params.b4 + column;
  out[to] = s0;
  out[to + params.b4] = s1;
  out[to + 2u * params.b4] = s2;
  out[to + 3u * params.b4] = s3;
  if row4 + 1u == params.a4 { return; }
  out[to + 4u * params.b4] = s4;
  out[to + 5u * params.b4] = s5;
  out[to + 6u * params.b4] = s6;
  out[to + 7u * params.b4] = s7;
}
