// The middle step of the gradient of global response norm, y = gamma·x·n + beta + x with n_c = g_c / d and
// d = mean_c g + eps: from the sums of x² (g_c = √) and t_c = Σ dy·x to what dx and the weights need,
//   dg_c = gamma_c·t_c / d − mean_k(gamma_k·t_k·g_k) / d²,
//   factors = [1 + gamma·n, dg / g], so that dx = dy·factors₀ + x·factors₁ (0 where g is 0, as in PyTorch),
//   parts = [t·n, Σ dy], which summed over samples are the gradients of gamma and beta.
//
// Layout   squares [samples,chunks,channels], dots [samples,chunks,2·channels] (channel_dots.wgsl), gamma [channels],
//          factors and parts [samples,2·channels]; lengths count Ts.
// Cost     Reads squares and dots once; TEAM invocations a sample.

struct Params {
  samples: u32,
  chunks: u32,
  channels: u32,
  // 1 / number of channels
  mean: f32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> squares: array<T>;
@group(0) @binding(1) var<storage, read> dots: array<T>;
@group(0) @binding(2) var<storage, read> gamma: array<T>;
@group(0) @binding(3) var<storage, read_write> factors: array<T>;
@group(0) @binding(4) var<storage, read_write> parts: array<T>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let item = linear_index(group, groups, local, WG) / TEAM;
  let sample = min(item, params.samples - 1u);
  let channels = params.channels;
  let base = sample * params.chunks * channels;
  let start = sample * 2u * channels;
  let member = local % TEAM;
  let writes = item < params.samples;

  // factors holds g, and parts t and Σ dy, until the sums over channels are known.
  var total = T();
  var along = T();
  for (var c = member; c < channels; c += TEAM) {
    var square = T();
    var dot_sum = T();
    var sum = T();
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
      square += squares[base + chunk * channels + c];
      dot_sum += dots[2u * (base + chunk * channels) + c];
      sum += dots[2u * (base + chunk * channels) + channels + c];
    }
    let g = sqrt(square);
    total += g;
    along += gamma[c] * dot_sum * g;
    if writes {
      factors[start + c] = g;
      parts[start + c] = dot_sum;
      parts[start + channels + c] = sum;
    }
  }
  let inverse = 1.0 / (team_sum(local, lanes_sum(total)) * params.mean + params.eps);
  let shared_part = team_sum(local, lanes_sum(along)) * params.mean * inverse * inverse;
  if !writes { return; }
  for (var c = member; c < channels; c += TEAM) {
    let g = factors[start + c];
    let t = parts[start + c];
    let n = g * inverse;
    factors[start + c] = gamma[c] * n + 1.0;
    // Not by g², which leaves f32's range for channels whose g does not.
    let slope = gamma[c] * t * inverse - shared_part;
    factors[start + channels + c] = select(T(), slope / max(g, T() + 1e-30), g > T());
    parts[start + c] = t * n;
  }
}
