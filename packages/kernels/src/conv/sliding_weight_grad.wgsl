// The weight's gradient of a stride-1 convolution in which an output channel reads one or two input channels:
//   out[ky,kx,·,n] = Σ x[p + (kx,ky) − padding, ·] · dy[p, n]   over the output pixels p.
// With params.two, as in skip.wgsl, channels 2n and 2n+1 of x, for half of the output channels; else channel n.
//
// Layout   x [b,h,w,c], dy [b,oh,ow,c], out [chunks,kh,kw,1 or 2,c], channels last, as vec4s: chunk i covers `chunk` rows
//          of dy from i·chunk on, and the host adds them. A launch writes `count4` vec4s of channels from `first4` on.
// Needs    c divisible by 4, by 8 with params.two.
// Cost     2·b·oh·ow·kh·kw·c FLOPs, two loads an FMA; all but the smallest images stay in the cache over the taps.

override WG: u32 = 64;

struct Params {
  size: vec2u,
  out_size: vec2u,
  kernel: vec2u,
  padding: u32,
  channels4: u32,
  first4: u32,
  count4: u32,
  rows: u32,
  chunk: u32,
  replicate: u32,
  two: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG);
  let taps = params.kernel.x * params.kernel.y;
  let channel = params.first4 + item % params.count4;
  let tap = item / params.count4 % taps;
  let start = item / (params.count4 * taps) * params.chunk;
  if start >= params.rows { return; }
  let end = min(start + params.chunk, params.rows);
  let offset = vec2i(vec2u(tap % params.kernel.x, tap / params.kernel.x)) - i32(params.padding);
  let source = select(channel, 2u * (channel - params.first4), params.two == 1u);
  var low = vec4f();
  var high = vec4f();
  for (var row = start; row < end; row++) {
    let wanted_y = i32(row % params.out_size.y) + offset.y;
    let y = clamp(wanted_y, 0, i32(params.size.y) - 1);
    if params.replicate == 0u && y != wanted_y { continue; }
    let line = (row / params.out_size.y * params.size.y + u32(y)) * params.size.x;
    for (var column = 0u; column < params.out_size.x; column++) {
      let wanted_x = i32(column) + offset.x;
      let at = clamp(wanted_x, 0, i32(params.size.x) - 1);
      if params.replicate == 0u && at != wanted_x { continue; }
      let i = (line + u32(at)) * params.channels4 + source;
      let d = dy[(row * params.out_size.x + column) * params.channels4 + channel];
      if params.two == 1u {
        let a = x[i];
        let b = x[i + 1u];
        low = fma(vec4f(a.xz, b.xz), d, low);
        high = fma(vec4f(a.yw, b.yw), d, high);
      } else {
        low = fma(x[i], d, low);
      }
    }
  }
  let rows_out = taps * (1u + params.two);
  let to = (start / params.chunk * rows_out + tap * (1u + params.two)) * params.channels4 + channel;
  out[to] = low;
  if params.two == 1u { out[to + params.channels4] = high; }
}
