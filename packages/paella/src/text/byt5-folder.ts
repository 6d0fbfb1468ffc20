import { PaellaError, type StateDict } from '@paella/tensor';
import * as v from 'valibot';
import { type Folder, openFolder } from '../folder.js';
import { byt5Config } from '../model-folder.js';
import type { ByT5Config } from './byt5.js';

/** A ByT5 as Hugging Face publishes it, before anything of it is loaded. */
export interface ByT5Folder {
  config: ByT5Config;
  /** Opens the checkpoint, which may hold a decoder too; whoever asks closes it. Only headers are read. */
  state(): Promise<StateDict>;
}

/** What `save_pretrained` and the older `torch.save` write, the safer first. */
const WEIGHTS = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
];

/** `config.json`, with T5Config's defaults for what older files leave out (google/byt5-xl has no maximum distance). */
const huggingFaceConfig = v.object({
  ...byt5Config.entries,
  relative_attention_num_buckets: v.optional(byt5Config.entries.relative_attention_num_buckets, 32),
  relative_attention_max_distance: v.optional(byt5Config.entries.relative_attention_max_distance, 128),
  layer_norm_epsilon: v.optional(byt5Config.entries.layer_norm_epsilon, 1e-6),
  feed_forward_proj: v.optional(v.string(), 'relu'),
});

/** Ids of ByT5's tokenizer: 256 bytes, three specials, 125 sentinels. T5 and mT5 have words, and many more. */
const BYTE_IDS = 384;

/**
 * Opens a folder in Hugging Face's layout: `config.json`, and weights as `model.safetensors` or `pytorch_model.bin`,
 * whole or sharded with an index. Of an encoder and decoder together only the encoder is ever read. On the web, where
 * nothing lists a folder, the names are tried in that order.
 *
 * @param where a path (in Node), a URL, or a folder
 * @throws PaellaError `not-found` if there is no `config.json`, `format` if it does not describe a ByT5 of version 1.1
 *   (gated GELU); from `state()`, `not-found` if there are no weights
 */
export async function openByT5Folder(where: string | URL | Folder): Promise<ByT5Folder> {
  const folder = openFolder(where);
  const config = await folder.json('config.json', huggingFaceConfig).catch((cause: unknown) => {
    if (!(cause instanceof PaellaError) || cause.code !== 'not-found') throw cause;
    throw new PaellaError('not-found', `${folder.name} is no ByT5 folder: it has no config.json`, {
      fix: 'Name a folder as Hugging Face has it, with config.json and model.safetensors or pytorch_model.bin',
      cause,
    });
  });
  return {
    config: checkConfig(folder.nameOf('config.json'), config),
    async state() {
      const file = await folder.find(WEIGHTS);
      if (file) return folder.checkpoint(file);
      throw new PaellaError('not-found', `${folder.name} holds no weights: none of ${WEIGHTS.join(', ')}`, {
        fix: 'Download one of them, with all of its shards, into the folder',
      });
    },
  };
}

function checkConfig(
  name: string,
  { feed_forward_proj, ...config }: v.InferOutput<typeof huggingFaceConfig>,
): ByT5Config {
  const refuse = (message: string): never => {
    throw new PaellaError('format', `${name} describes no ByT5: ${message}`, {
      fix: 'Use a folder of google/byt5-small, -base, -large, -xl or -xxl',
    });
  };
  if (feed_forward_proj !== 'gated-gelu') {
    refuse(`feed_forward_proj must be "gated-gelu", got "${feed_forward_proj}"`);
  }
  if (config.vocab_size !== BYTE_IDS) refuse(`vocab_size must be ${BYTE_IDS}, got ${config.vocab_size}`);
  return config;
}
