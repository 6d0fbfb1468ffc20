// A running argmax. Ties go to the lower class, in whatever order the candidates come.

struct Best {
  score: f32,
  label: u32,
}

// Low enough for any finite score to win.
const LOWEST = -3.0e38;

fn better(a: Best, score: f32, label: u32) -> Best {
  if score > a.score || (score == a.score && label < a.label) { return Best(score, label); }
  return a;
}
