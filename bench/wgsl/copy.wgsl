// What an adapter reads and writes at best from a kernel: a copy.
//
// Layout: `source` and `copied` of equal length. An invocation copies PER vec4: NEAR one another, which suits
//   processors, or WG apart, so that neighbouring invocations read neighbouring memory, which suits GPUs.
// Needs: nothing optional.
// Cost: 32 bytes a vec4.

override WG: u32 = 64;
override PER: u32 = 4;
override NEAR: bool = false;

@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4f>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let begin = group.x * WG * PER;
  for (var i = 0u; i < PER; i++) {
    let at = begin + select(local + i * WG, local * PER + i, NEAR);
    copied[at] = source[at];
  }
}
