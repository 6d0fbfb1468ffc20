/** Configurations of runs that take seconds. */

/** With an adversary, and codes that are brought back to life. */
export const tinyVqgan = {
  model: { levels: 2, bottleneck_blocks: 1, c_hidden: 16, c_latent: 4, codebook_size: 48, scale_factor: 1 },
  training: {
    batch_size: 4,
    checkpoint_every: 3,
    grid_every: 6,
    log_every: 1,
    steps: 6,
    warmup_steps: 2,
    ema_decay: 0.9,
  },
  data: { size: 32, split: '', flip: true, crop: 'random', shuffle_buffer: 8 },
  discriminator: { start: 2, c_hidden: 16, depth: 2 },
  codebook: { revive_every: 2 },
};
/** Everything is in it that draws random numbers, and everything that gathers over a step. */
export const tinyPaella = {
  model: {
    c_in: 8,
    c_out: 8,
    num_labels: 48,
    c_r: 8,
    patch_size: 2,
    c_cond: 16,
    c_hidden: [16, 24],
    nhead: [-1, 3],
    blocks: [1, 1],
    level_config: ['CT', 'CTA'],
    clip_embd: 8,
    byt5_embd: 16,
    clip_seq_len: 1,
    kernel_size: 3,
    dropout: 0.1,
    self_attn: true,
  },
  training: {
    batch_size: 4,
    checkpoint_every: 3,
    grid_every: 6,
    log_every: 1,
    steps: 6,
    grad_accum: 2,
    warmup_steps: 2,
  },
  data: { size: 32, split: '' },
  text: {
    kind: 'bytes',
    max_length: 16,
    config: {
      d_model: 16,
      d_ff: 24,
      d_kv: 8,
      num_layers: 1,
      num_heads: 2,
      vocab_size: 384,
      relative_attention_num_buckets: 32,
      relative_attention_max_distance: 128,
      layer_norm_epsilon: 1e-6,
    },
  },
  sampling: { steps: 2 },
};
