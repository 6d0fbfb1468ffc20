// The index of an invocation in a one-dimensional grid that the host may have folded into two dimensions.
fn linear_index(group: vec3u, groups: vec3u, local: u32, size: u32) -> u32 {
  return (group.y * groups.x + group.x) * size + local;
}
