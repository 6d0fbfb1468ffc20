// The second step of global response norm (ConvNeXt V2, arXiv 2301.00808): from sums of
// squares to the scale and shift that modulate.wgsl applies.
//   g_c = sqrt(Σ_chunks sums), out = [gamma_c · g_c / (mean_c g + eps), beta_c]
//
// Layout   sums [samples,chunks,channels], gamma and beta [channels], out [samples,2·channels]; lengths
//          count Ts.
// Cost     Reads sums once, and out once more; TEAM invocations a sample.

struct Params {
  samples: u32,
  chunks: u32,
  channels: u32,
  // 1 / number of channels
  mean: f32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> sums: array<T>;
@group(0) @binding(1) var<storage, read> gamma: array<T>;
@group(0) @binding(2) var<storage, read> beta: array<T>;
@group(0) @binding(3) var<storage, read_write> out: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG) / TEAM;
  let sample = min(item, params.samples - 1u);
  let base = sample * params.chunks * params.channels;
  let start = sample * 2u * params.channels;
  let member = local % TEAM;
  let writes = item < params.samples;

  var total = T();
  for (var c = member; c < params.channels; c += TEAM) {
    var sum = T();
    for (var chunk = 0u; chunk < params.chunks; chunk++) { sum += sums[base + chunk * params.channels + c]; }
    let response = sqrt(sum);
    total += response;
    if writes { out[start + c] = response; }
  }
  let factor = 1.0 / (team_sum(local, lanes_sum(total)) * params.mean + params.eps);
  if !writes { return; }
  for (var c = member; c < params.channels; c += TEAM) {
    out[start + c] *= gamma[c] * factor;
    out[start + params.channels + c] = beta[c];
  }
}
