// Product aᵀ·b of two matrices whose rows are the steps of the contraction: the gradient of a weight.
//
// Layout   a [batch,k,m], b [batch,k,n], out [batch,chunks,m,n], row-major f32: chunk c covers `chunk` steps from
//          c·chunk on. Few outputs and a long contraction (all pixels of a batch) would leave an adapter idle, and
//          lose digits, in one long sum; the host adds the chunks, so the order of additions is fixed.
// Needs    m and n divisible by 4.
// Cost     2·m·k·n FLOPs. An invocation computes 8 × 4 outputs in registers: 3 vec4 loads for 8 vec4 FMAs a step.

override WG: u32 = 64;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = linear_index(group, groups, local, WG);
  let column = tile % params.n4;
  let row4 = tile / params.n4 * 2u;
  if row4 >= params.m4 { return; }
  let batch = group.z / params.chunks;
  let start = group.z % params.chunks * params.chunk;
  let end = min(start + params.chunk, params.k);
  // An odd number of vec4s of rows leaves half of the last tile without work: it repeats the first half.
  let second = min(row4 + 1u, params.m4 - 1u);
  var i = (batch * params.k + start) * params.m4;
  var j = (batch * params.k + start) * params.n4 + column;
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  for (var k = start; k < end; k++) {
    let x = a[i + row4];
    let y = a[i + second];
    let w = b[j];
    s0 = fma(vec4f(x.x), w, s0);
    s1 = fma(vec4f(x.y), w, s1);
    s2 = fma(vec4f(x.z), w, s2);
    s3 = fma(vec4f(x.w), w, s3);
    s4 = fma(vec4f(y.x), w, s4);
    s5 = fma(vec4f(y.y), w, s5);
    s6 = fma(vec4f(y.z), w, s6);
    s7 = fma(vec4f(y.w), w, s7);
    i += params.m4;
    j += params.n4;
  }
  let to = (group.z * params.m4 + row4) * 4u * params.n4 + column;
  out[to] = s0;
  out[to + params.n4] = s1;
  out[to + 2u * params.n4] = s2;
  out[to + 3u * params.n4] = s3;
  if row4 + 1u == params.m4 { return; }
  out[to + 4u * params.n4] = s4;
  out[to + 5u * params.n4] = s5;
  out[to + 6u * params.n4] = s6;
  out[to + 7u * params.n4] = s7;
}
