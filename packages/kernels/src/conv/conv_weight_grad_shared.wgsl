// conv_weight_grad.wgsl for GPUs, staged in workgroup memory: one product whose rows are the channels of a for one tap
// after the other, whose columns are the channels of b, and whose steps are pixels.
//
// Layout   As conv_weight_grad.wgsl.
// Needs    ca and cb divisible by 4.
// Cost     2·kh·kw·pixels·ca·cb FLOPs; shared/staged_tile.wgsl says what a tile costs. An invocation finds four pixels for
//          64 · 16 FMAs, with three divisions.

// What a tap sees of the pixel `at` of b, of four channels of a.
fn seen(at: vec2u, image: u32, offset: vec2i, channel: u32) -> vec4f {
  let wanted = vec2i(at * params.stride) + offset;
  let source = clamp(wanted, vec2i(), vec2i(params.size) - 1);
  let index = ((image * params.size.y + u32(source.y)) * params.size.x + u32(source.x)) * params.a4 + channel;
  return select(vec4f(), a[index], params.replicate == 1u || all(source == wanted));
}

// Four pixels from p on; those from `end` on count as zeros.
fn block_a(p: u32, end: u32, offset: vec2i, channel: u32) -> mat4x4f {
  let row = p / params.grid.x;
  var at = vec2u(p % params.grid.x, row % params.grid.y);
  var image = row / params.grid.y;
  var block = mat4x4f();
  for (var step = 0u; step < 4u; step++) {
    if p + step < end { block[step] = seen(at, image, offset, channel); }
    at.x++;
    if at.x == params.grid.x {
      at = vec2u(0u, at.y + 1u);
      if at.y == params.grid.y {
        at.y = 0u;
        image++;
      }
    }
  }
  return block;
}

fn block_b(p: u32, end: u32, column: u32) -> mat4x4f {
  let j = min(vec4u(p, p + 1u, p + 2u, p + 3u), vec4u(params.pixels - 1u)) * params.b4 + column;
  return mat4x4f(
    select(vec4f(), b[j.x], p < end),
    select(vec4f(), b[j.y], p + 1u < end),
    select(vec4f(), b[j.z], p + 2u < end),
    select(vec4f(), b[j.w], p + 3u < end),
  );
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let quads = params.kernel.x * params.kernel.y * params.a4;
  let first = first_of(group, groups, params.b4);
  if first.x >= 4u * quads { return; }
  let at_a = block_of_a(local);
  let at_b = block_of_b(local);
  let quad = min(first.x / 4u + at_a.x, quads - 1u);
  let tap = quad / params.a4;
  let offset = vec2i(vec2u(tap % params.kernel.x, tap / params.kernel.x)) - i32(params.padding);
  let column = min(first.y + at_b.x, params.b4 - 1u);
  let start = group.z * params.chunk;
  let end = min(start + params.chunk, params.pixels);
  var sums = Sums();
  for (var p = start; p < end; p += STEPS) {
    workgroupBarrier(); // the previous pixels have been read
    stage_a(at_a, block_a(p + at_a.y, end, offset, quad % params.a4));
    if at_b.y < STEPS { stage_b(at_b, block_b(p + at_b.y, end, column)); }
    workgroupBarrier();
    sums = multiply_staged(local, sums);
  }
  var results = outputs(sums);
  for (var e = 0u; e < 16u; e++) {
    let at = first + output_at(local, e);
    if at.x < 4u * quads && at.y < params.b4 {
      out[(group.z * 4u * quads + at.x) * params.b4 + at.y] = results[e];
    }
  }
}
