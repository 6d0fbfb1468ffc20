// What an adapter reads and writes at best from a kernel: a copy.
//
// Layout: `from` and `to` of equal length; an invocation copies PER vec4, WG apart from one another.
// Needs: nothing optional.
// Cost: 32 bytes a vec4.

override WG: u32 = 64;
override PER: u32 = 4;

@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> target_: array<vec4f>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = group.x * WG * PER + local;
  for (var i = 0u; i < PER; i++) {
    target_[first + i * WG] = source[first + i * WG];
  }
}
