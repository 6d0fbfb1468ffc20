// Dense convolution, and its transpose, as an implicit matrix product: nothing is unfolded in memory.
//
// Layout   x [b,h,w,ci], weight [kh,kw,ci,co], bias [co], out [b,oh,ow,co], channels last, all f32. Vectors
//          of a width and a height are in that order.
// Needs    ci and co divisible by 4.
// Cost     2·b·oh·ow·kh·kw·ci·co FLOPs (transposed: h·w for oh·ow). An invocation computes 4 pixels × 8
//          channels and, for every tap and every 4 input channels, loads 4 vec4s of x and 8 of weight for
//          32 vec4 FMAs: what matmul.wgsl does, with a row of its left matrix found anew for every tap.
//          Finding rows is what a tile of fewer pixels and more channels saves.

override WG: u32 = 64;
override HAS_BIAS: bool = false;

fn store(to: Source, column: u32, sum: vec4f, partner_sum: vec4f) {
  if !to.inside { return; }
  let i = to.index + column;
  out[i] = sum;
  if column + 1u < params.n4 { out[i + 1u] = partner_sum; }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = linear_index(group, groups, local, WG);
  // Neighbouring invocations share their pixels and differ in the columns of the weight.
  let column_tiles = (params.n4 + 1u) / 2u;
  let column = tile % column_tiles * 2u;
  let pixel_tile = tile / column_tiles;
  if pixel_tile >= params.pixel_tiles { return; }
  // An odd number of vec4s leaves the last column without a partner: it is computed twice and stored once.
  let partner = min(1u, params.n4 - 1u - column);

  let phase = phase_of(group.z);
  let p0 = position_of(pixel_tile * 4u);
  let p1 = following(p0);
  let p2 = following(p1);
  let p3 = following(p2);
  let c0 = corner(p0, phase.origin);
  let c1 = corner(p1, phase.origin);
  let c2 = corner(p2, phase.origin);
  let c3 = corner(p3, phase.origin);
  var s0 = vec4f(); var t0 = vec4f();
  if HAS_BIAS {
    s0 = bias[column];
    t0 = bias[column + partner];
  }
  var s1 = s0; var s2 = s0; var s3 = s0;
  var t1 = t0; var t2 = t0; var t3 = t0;
  var tap = vec2i();
  for (var ky = phase.first_tap.y; ky < params.kernel.y; ky += phase.tap_step) {
    tap.x = 0;
    for (var kx = phase.first_tap.x; kx < params.kernel.x; kx += phase.tap_step) {
      let x0 = source(c0, tap);
      let x1 = source(c1, tap);
      let x2 = source(c2, tap);
      let x3 = source(c3, tap);
      var j = (ky * params.kernel.x + kx) * 4u * params.k4 * params.n4 + column;
      for (var k = 0u; k < params.k4; k++) {
        let a0 = load(x0, k);
        let a1 = load(x1, k);
        let a2 = load(x2, k);
        let a3 = load(x3, k);
        let b0 = weight[j];
        let b1 = weight[j + params.n4];
        let b2 = weight[j + 2u * params.n4];
        let b3 = weight[j + 3u * params.n4];
        s0 = rank4(a0, b0, b1, b2, b3, s0);
        s1 = rank4(a1, b0, b1, b2, b3, s1);
        s2 = rank4(a2, b0, b1, b2, b3, s2);
        s3 = rank4(a3, b0, b1, b2, b3, s3);
        let i = j + partner;
        let d0 = weight[i];
        let d1 = weight[i + params.n4];
        let d2 = weight[i + 2u * params.n4];
        let d3 = weight[i + 3u * params.n4];
        t0 = rank4(a0, d0, d1, d2, d3, t0);
        t1 = rank4(a1, d0, d1, d2, d3, t1);
        t2 = rank4(a2, d0, d1, d2, d3, t2);
        t3 = rank4(a3, d0, d1, d2, d3, t3);
        j += 4u * params.n4;
      }
      tap.x++;
    }
    tap.y++;
  }
  store(target_of(p0, phase.at), column, s0, t0);
  store(target_of(p1, phase.at), column, s1, t1);
  store(target_of(p2, phase.at), column, s2, t2);
  store(target_of(p3, phase.at), column, s3, t3);
}
