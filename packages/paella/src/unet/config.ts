/** A U-Net's configuration, with upstream's field names. */
export interface PaellaConfig {
  /** Width of the token embedding and of what the last linear layer reads. */
  c_in: number;
  c_out: number;
  /** Size of the codebook. */
  num_labels: number;
  /** Width of the noise-level embedding. */
  c_r: number;
  /** Tokens of a `patch_size`² square become one position. */
  patch_size: number;
  /** Width of the condition tokens. */
  c_cond: number;
  /** Channels, attention heads (-1: none), repetitions and block letters of each level. */
  c_hidden: number[];
  nhead: number[];
  blocks: number[];
  /** C = ResBlock, T = TimestepBlock, A = AttnBlock */
  level_config: string[];
  clip_embd: number;
  byt5_embd: number;
  /** Condition tokens made of one CLIP vector. */
  clip_seq_len: number;
  kernel_size: number;
  dropout: number;
  /** Attend over the picture's own positions too, not only over the condition. */
  self_attn: boolean;
}

/** The released `paella_v3.pt`: 1,008,350,592 parameters. */
export const PAELLA_V3: PaellaConfig = {
  c_in: 256,
  c_out: 256,
  num_labels: 8192,
  c_r: 64,
  patch_size: 2,
  c_cond: 1024,
  c_hidden: [640, 1280, 1280],
  nhead: [-1, 16, 16],
  blocks: [6, 16, 6],
  level_config: ['CT', 'CTA', 'CTA'],
  clip_embd: 1024,
  byt5_embd: 2560,
  clip_seq_len: 4,
  kernel_size: 3,
  dropout: 0.1,
  self_attn: true,
};
