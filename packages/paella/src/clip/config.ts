/** The text tower, with open_clip's field names. */
export interface CLIPTextConfig {
  context_length: number;
  vocab_size: number;
  width: number;
  heads: number;
  layers: number;
  /** Of the hidden layer to `width`; 4 by default. */
  mlp_ratio?: number;
}

/** The image tower, a vision transformer (arXiv 2010.11929), with open_clip's field names. */
export interface CLIPVisionConfig {
  /** Side of the square pictures, in pixels. */
  image_size: number;
  patch_size: number;
  width: number;
  /** Width of an attention head. */
  head_width: number;
  layers: number;
  /** Of the hidden layer to `width`; 4 by default. */
  mlp_ratio?: number;
}

/** A CLIP's configuration, as the `model_cfg` of an `open_clip_config.json`. A tower that is `null` is not built. */
export interface CLIPConfig {
  embed_dim: number;
  text_cfg: CLIPTextConfig | null;
  vision_cfg: CLIPVisionConfig | null;
}

/** open_clip's ViT-H-14, whose weights `laion2b_s32b_b79k` the released checkpoints were trained with. */
export const CLIP_VIT_H_14: CLIPConfig = {
  embed_dim: 1024,
  text_cfg: { context_length: 77, vocab_size: 49408, width: 1024, heads: 16, layers: 24 },
  vision_cfg: { image_size: 224, patch_size: 14, width: 1280, head_width: 80, layers: 32 },
};
