// The index of an invocation in a one-dimensional grid that the host may have folded into two dimensions.
fn linear_index(group: vec3u, groups: vec3u, local: u32, size: u32) -> u32 {
  return (group.y * groups.x + group.x) * size + local;
}

// From an invocation's item to its next, where a grid is smaller than the items are many.
fn linear_step(groups: vec3u, size: u32) -> u32 {
  return groups.x * groups.y * size;
}
