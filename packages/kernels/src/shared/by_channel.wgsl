// Walks the pixels of a sample, group.z, with the channel of each, and without a division a step: those take a processor
// longer than the rest of a step.
//
// Layout   [samples,positions,channels], channels in Ts; `sample` counts a sample's Ts.

struct Walk {
  // From the sample's first T on.
  at: u32,
  channel: u32,
  step: u32,
  channel_step: u32,
}

fn walk(first: u32, step: u32, channels: u32) -> Walk {
  return Walk(first, first % channels, step, step % channels);
}

fn next(w: Walk, channels: u32) -> Walk {
  let channel = w.channel + w.channel_step;
  return Walk(w.at + w.step, select(channel, channel - channels, channel >= channels), w.step, w.channel_step);
}
