// What the two blocked gradients of attention share. Needs rank4.wgsl.

const ROWS = 16u;
const BLOCK = 64u;
const BLOCK4 = BLOCK / 4u;
const TILES = ROWS / 4u * BLOCK4;
const NEXT = vec4u(0u, 1u, 2u, 3u);

// Where four rows of a head start.
fn rows_at(view: vec3u, batch: u32, rows: vec4u, head: u32) -> vec4u {
  return view.x + batch * view.z + head * params.d + rows * view.y;
}

// As a view: the gradient of the result lies by itself.
fn g_view() -> vec3u {
  let row = params.heads * params.d;
  return vec3u(0u, row, params.queries * row);
}
