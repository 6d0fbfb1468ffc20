// Dense convolution for GPUs, and its transpose, as an implicit matrix product that is staged in workgroup memory: the
// rows are pixels, and the steps of the contraction are the channels of one tap after the other.
//
// Layout   As conv.wgsl; group.z counts phases.
// Needs    ci and co divisible by 4.
// Cost     2·b·oh·ow·kh·kw·ci·co FLOPs (transposed: h·w for oh·ow); shared/staged_tile.wgsl says what a tile costs.
//          A pixel is read once a tap, mostly from the cache: neighbours in a tile are neighbours in the picture.
//          Finding it takes some ten integer operations for a block of four channels, of 64 · 16 FMAs an invocation.

override HAS_BIAS: bool = false;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let first = first_of(group, groups, params.n4);
  if first.x >= params.pixel_tiles * WG { return; }
  let phase = phase_of(group.z);
  // Taps that a phase sees in each direction, and vec4s of channels of all of them.
  let taps = (params.kernel + phase.tap_step - 1u - phase.first_tap) / phase.tap_step;
  let end = taps.x * taps.y * params.k4;
  let at_a = block_of_a(local);
  let at_b = block_of_b(local);
  let p0 = position_of(first.x + 4u * at_a.x);
  let p1 = following(p0);
  let p2 = following(p1);
  let p3 = following(p2);
  let c0 = corner(p0, phase.origin);
  let c1 = corner(p1, phase.origin);
  let c2 = corner(p2, phase.origin);
  let c3 = corner(p3, phase.origin);
  let column = min(first.y + at_b.x, params.n4 - 1u);
  var sums = Sums();
  for (var k = 0u; k < end; k += STEPS / 4u) {
    workgroupBarrier(); // the previous steps have been read
    let step_a = k + at_a.y / 4u;
    var pixels = mat4x4f();
    if step_a < end {
      let tap = step_a / params.k4;
      let channel = step_a % params.k4;
      let at = vec2i(vec2u(tap % taps.x, tap / taps.x));
      pixels = transpose(mat4x4f(
        load(source(c0, at), channel),
        load(source(c1, at), channel),
        load(source(c2, at), channel),
        load(source(c3, at), channel),
      ));
    }
    stage_a(at_a, pixels);
    if at_b.y < STEPS {
      let step_b = k + at_b.y / 4u;
      var weights = mat4x4f();
      if step_b < end {
        let tap = step_b / params.k4;
        let at = phase.first_tap + phase.tap_step * vec2u(tap % taps.x, tap / taps.x);
        let channel = (at.y * params.kernel.x + at.x) * params.k4 + step_b % params.k4;
        let j = 4u * channel * params.n4 + column;
        weights = mat4x4f(
          weight[j],
          weight[j + params.n4],
          weight[j + 2u * params.n4],
          weight[j + 3u * params.n4],
        );
      }
      stage_b(at_b, weights);
    }
    workgroupBarrier();
    sums = multiply_staged(local, sums);
  }
  var results = outputs(sums);
  for (var e = 0u; e < 16u; e++) {
    let at = first + output_at(local, e);
    let to = target_of(position_of(at.x), phase.at);
    if !to.inside || at.y >= params.n4 { continue; }
    var y = results[e];
    if HAS_BIAS { y += bias[at.y]; }
    out[to.index + at.y] = y;
  }
}
