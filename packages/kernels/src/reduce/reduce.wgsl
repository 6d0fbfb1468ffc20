// Sum or maximum over the middle dimension, by chunks:
// out[o,c,i] = after · fold over j in chunk c of (before · x[o,j,i]), squared first with SQUARE.
//
// Layout   x [outer,length,inner], out [outer,chunks,inner]; length, chunk and inner count Ts.
// Needs    At least one element in every chunk.
// Cost     Reads x once. The order of the additions depends on the shape alone, never on scheduling; a long
//          reduction to few results runs as several passes, which is also more accurate than one long sum.

override MAX: bool = false;
override SQUARE: bool = false;

struct Params {
  outer: u32,
  length: u32,
  inner: u32,
  chunks: u32,
  chunk: u32,
  before: f32,
  after: f32,
}

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read_write> out: array<S>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG) / TEAM;
  let outputs = params.outer * params.chunks * params.inner;
  let at = min(item, outputs - 1u);
  let i = at % params.inner;
  let chunk = at / params.inner % params.chunks;
  let outer = at / (params.inner * params.chunks);
  let base = outer * params.length * params.inner + i;
  let start = chunk * params.chunk;
  let end = min(start + params.chunk, params.length);
  var result: S;
  if MAX {
    var top = params.before * x[base + start * params.inner];
    for (var j = start + local % TEAM; j < end; j += TEAM) {
      top = max(top, params.before * x[base + j * params.inner]);
    }
    result = team_max(local, lanes_max(top));
  } else {
    var sum = T();
    for (var j = start + local % TEAM; j < end; j += TEAM) {
      let value = params.before * x[base + j * params.inner];
      sum += select(value, value * value, SQUARE);
    }
    result = team_sum(local, lanes_sum(sum));
  }
  if item < outputs && local % TEAM == 0u { out[item] = params.after * result; }
}
