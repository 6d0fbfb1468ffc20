import type { StateDict } from '@paella/tensor';
import * as v from 'valibot';
import { type Folder, openFolder } from './folder.js';
import { ImageEncoder, type ImageEncoderConfig } from './image-encoder/image-encoder.js';
import type { Model } from './model.js';
import { anyObject, count, finite } from './schemas.js';
import type { ByT5Config } from './text/byt5.js';
import { WordVectorEncoder } from './text/word-vectors.js';
import type { PaellaConfig } from './unet/config.js';
import { Paella, tokenMultiple } from './unet/paella.js';
import { VQModel, pixelsPerToken, type VQModelConfig } from './vqgan/vqmodel.js';

const range = v.union([finite, v.strictTuple([finite, finite])]);

export const unetConfig = v.strictObject({
  c_in: count,
  c_out: count,
  num_labels: count,
  c_r: count,
  patch_size: count,
  c_cond: count,
  c_hidden: v.array(count),
  nhead: v.array(v.pipe(v.number(), v.safeInteger())),
  blocks: v.array(count),
  level_config: v.array(v.string()),
  clip_embd: count,
  byt5_embd: count,
  clip_seq_len: count,
  kernel_size: count,
  dropout: finite,
  self_attn: v.boolean(),
}) satisfies v.GenericSchema<unknown, PaellaConfig>;

export const vqganConfig = v.strictObject({
  levels: count,
  bottleneck_blocks: count,
  c_hidden: count,
  c_latent: count,
  codebook_size: count,
  scale_factor: finite,
}) satisfies v.GenericSchema<unknown, VQModelConfig>;

export const byt5Config = v.strictObject({
  d_model: count,
  d_ff: count,
  d_kv: count,
  num_layers: count,
  num_heads: count,
  vocab_size: count,
  relative_attention_num_buckets: count,
  relative_attention_max_distance: count,
  layer_norm_epsilon: finite,
}) satisfies v.GenericSchema<unknown, ByT5Config>;

export const imageEncoderConfig = v.strictObject({
  image_size: count,
  patch_size: count,
  c_hidden: v.array(count),
  embed_dim: count,
}) satisfies v.GenericSchema<unknown, ImageEncoderConfig>;

const textEncoder = v.variant('kind', [
  v.strictObject({
    kind: v.literal('word-vectors'),
    /** One word a line, and the state dict with `vectors` and `scale`. */
    vocabulary: v.string(),
    weights: v.string(),
    max_words: count,
  }),
  v.strictObject({ kind: v.literal('byt5'), weights: v.string(), config: byt5Config }),
]);

/** Hashes of the folder's other files, by name: what has one is downloaded once, and checked. See `storedFolder`. */
export const sha256 = v.pipe(anyObject, v.record(v.string(), v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))));

/** `model.json`: what a model folder holds, and how to use it. File names are relative to the folder. */
export const modelCard = v.strictObject({
  format: v.literal('paella-model/1'),
  name: v.string(),
  description: v.string(),
  /** Width and height of its pictures, in pixels. */
  image_size: v.strictTuple([count, count]),
  unet: v.strictObject({ weights: v.string(), config: unetConfig }),
  vqgan: v.strictObject({ weights: v.string(), config: vqganConfig }),
  text_encoder: textEncoder,
  /** Looks at pictures where a large model has CLIP's image tower. */
  image_encoder: v.optional(v.strictObject({ weights: v.string(), config: imageEncoderConfig })),
  captions: v.strictObject({
    /** How the captions it learned from were written, for people. */
    form: v.string(),
    /** Added to a prompt that contains none of `styles`. */
    suffix: v.string(),
    styles: v.array(v.string()),
  }),
  sampler: v.strictObject({
    steps: count,
    renoise_steps: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    temperature: range,
    cfg: range,
  }),
  /** Licences of the weights and of what they learned from. */
  licenses: v.array(v.strictObject({ what: v.string(), license: v.string() })),
  sha256: v.optional(sha256),
});

export type ModelCard = v.InferOutput<typeof modelCard>;

/** A folder, on disk or on the web, with a `model.json` and the files it names. */
export interface ModelFolder {
  card: ModelCard;
  /** Opens a checkpoint of the folder. */
  checkpoint: (file: string) => Promise<StateDict>;
  text: (file: string) => Promise<string>;
}

/** Not written into `new URL()` itself: bundlers would take that for a file to bring along, and stumble over a folder. */
const here = import.meta.url;

/** `'default'` is the model that comes with the package: a folder beside the code, which has to travel with a bundle. */
export const placeOf = <T>(where: T): T | URL =>
  where === 'default' ? new URL('../models/default/', here) : where;

/**
 * Opens a model folder.
 *
 * @param where `'default'` for the embedded model, a path (in Node), a URL, or a folder
 * @throws PaellaError `not-found` if there is no `model.json`, `format` if it is not a valid one
 */
export async function openModelFolder(where: string | URL | Folder): Promise<ModelFolder> {
  const folder = openFolder(placeOf(where));
  const card = await folder.json('model.json', modelCard);
  return { card, checkpoint: folder.checkpoint, text: folder.text };
}

/** The model that a folder's card describes. */
export async function describeCard(folder: ModelFolder): Promise<Model> {
  const { card, checkpoint } = folder;
  const { sampler, image_encoder: images } = card;
  return {
    name: card.name,
    imageSize: card.image_size,
    captions: card.captions,
    sampler: {
      steps: sampler.steps,
      renoiseSteps: sampler.renoise_steps,
      temperature: sampler.temperature,
      cfg: sampler.cfg,
    },
    tokenMultiple: tokenMultiple(card.unet.config),
    factor: pixelsPerToken(card.vqgan.config),
    numLabels: card.unet.config.num_labels,
    clipTokens: card.unet.config.clip_seq_len,
    unet: {
      name: 'unet',
      build: (device) => new Paella(card.unet.config, { device }),
      state: () => checkpoint(card.unet.weights),
    },
    vqgan: {
      name: 'vqgan',
      build: (device) => new VQModel(card.vqgan.config, { device }),
      state: () => checkpoint(card.vqgan.weights),
    },
    text: await describeText(folder),
    imageEncoder: images && {
      name: 'image_encoder',
      build: (device) => new ImageEncoder(images.config, { device }),
      state: () => checkpoint(images.weights),
    },
    missing: [],
  };
}

async function describeText({ card, checkpoint, text }: ModelFolder): Promise<Model['text']> {
  const encoder = card.text_encoder;
  if (encoder.kind === 'word-vectors') {
    return {
      kind: 'word-vectors',
      async open(device) {
        const [vocabulary, state] = await Promise.all([
          text(encoder.vocabulary),
          checkpoint(encoder.weights),
        ]);
        const words = { maxWords: encoder.max_words };
        return WordVectorEncoder.load(device, vocabulary, state, words).finally(() => state.close?.());
      },
    };
  }
  // The embedded model reads words, and a page that draws with it loads no ByT5.
  const { ByT5Encoder } = await import('./text/byt5.js');
  return {
    kind: 'byt5',
    part: {
      name: 'text_encoder',
      build: (device) => new ByT5Encoder(encoder.config, { device }),
      state: () => checkpoint(encoder.weights),
    },
  };
}
