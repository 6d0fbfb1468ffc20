// A tile of a matrix product that a subgroup computes together: 16 rows × 4 columns an invocation.
//
// Software adapters load number by number, so a kernel's speed there is its FMAs by its loads. Here every row of the
// left operand is loaded by one invocation and broadcast to the others, and every column of the right one serves 16
// rows: of 4 steps with subgroups of 8, an invocation loads 2 vec4s of one and 4 of the other for 64 vec4 FMAs, where
// the tile of tile8.wgsl loads 8 and 4 for 32. Workgroup memory would not help: it is read number by number, too.
//
// Needs rank4.wgsl. Subgroups have SUBGROUP invocations, 4 or a multiple of 8, in the order of the invocation index: what
// an adapter that reports one size for all does. Whole subgroups must be here, with equal tiles.

override SUBGROUP: u32 = 4;

struct Tile16 {
  t0: mat4x4f,
  t1: mat4x4f,
  t2: mat4x4f,
  t3: mat4x4f,
}

// The row of the tile whose values an invocation brings as its `i`-th of four, or of two where there are 8 lanes.
fn own_row(i: u32, lane: u32) -> u32 {
  if SUBGROUP == 4u { return 4u * i + lane; }
  return 8u * i + lane % 8u;
}

fn own_rows(lane: u32) -> vec4u {
  return vec4u(own_row(0u, lane), own_row(1u, lane), own_row(2u, lane), own_row(3u, lane));
}

fn rows_low(x: vec4f, b: mat4x4f, s: mat4x4f) -> mat4x4f {
  return mat4x4f(
    rank4(subgroupBroadcast(x, 0u), b[0], b[1], b[2], b[3], s[0]),
    rank4(subgroupBroadcast(x, 1u), b[0], b[1], b[2], b[3], s[1]),
    rank4(subgroupBroadcast(x, 2u), b[0], b[1], b[2], b[3], s[2]),
    rank4(subgroupBroadcast(x, 3u), b[0], b[1], b[2], b[3], s[3]),
  );
}

fn rows_high(x: vec4f, b: mat4x4f, s: mat4x4f) -> mat4x4f {
  return mat4x4f(
    rank4(subgroupBroadcast(x, 4u), b[0], b[1], b[2], b[3], s[0]),
    rank4(subgroupBroadcast(x, 5u), b[0], b[1], b[2], b[3], s[1]),
    rank4(subgroupBroadcast(x, 6u), b[0], b[1], b[2], b[3], s[2]),
    rank4(subgroupBroadcast(x, 7u), b[0], b[1], b[2], b[3], s[3]),
  );
}

// Adds four steps: `x0 … x3` are this invocation's rows (the last two count with 4 lanes only), `b` its columns.
fn add_steps(t: Tile16, x0: vec4f, x1: vec4f, x2: vec4f, x3: vec4f, b: mat4x4f) -> Tile16 {
  if SUBGROUP == 4u {
    return Tile16(rows_low(x0, b, t.t0), rows_low(x1, b, t.t1), rows_low(x2, b, t.t2), rows_low(x3, b, t.t3));
  }
  return Tile16(rows_low(x0, b, t.t0), rows_high(x0, b, t.t1), rows_low(x1, b, t.t2), rows_high(x1, b, t.t3));
}

// One step of a product whose left operand has its rows in vec4s.
fn outer(x: vec4f, w: vec4f, s: mat4x4f) -> mat4x4f {
  return mat4x4f(
    fma(vec4f(x.x), w, s[0]),
    fma(vec4f(x.y), w, s[1]),
    fma(vec4f(x.z), w, s[2]),
    fma(vec4f(x.w), w, s[3]),
  );
}

// Adds one step of such a product: `x` holds the tile's 16 rows in the subgroup's first four invocations.
fn add_outer(t: Tile16, x: vec4f, w: vec4f) -> Tile16 {
  return Tile16(
    outer(subgroupBroadcast(x, 0u), w, t.t0),
    outer(subgroupBroadcast(x, 1u), w, t.t1),
    outer(subgroupBroadcast(x, 2u), w, t.t2),
    outer(subgroupBroadcast(x, 3u), w, t.t3),
  );
}

// The same of the step that the next four invocations brought.
fn add_next_outer(t: Tile16, x: vec4f, w: vec4f) -> Tile16 {
  return Tile16(
    outer(subgroupBroadcast(x, 4u), w, t.t0),
    outer(subgroupBroadcast(x, 5u), w, t.t1),
    outer(subgroupBroadcast(x, 6u), w, t.t2),
    outer(subgroupBroadcast(x, 7u), w, t.t3),
  );
}
