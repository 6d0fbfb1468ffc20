/** Folders of released files with random weights: tiny ones for tests, full-size ones for measuring by hand. */
import { Device, type NamedTensor, type StateDict, type nn, saveSafetensors } from '@paella/tensor';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  BYT5_XL,
  type ByT5Config,
  ByT5Encoder,
  CLIP,
  type CLIPConfig,
  CLIP_VIT_H_14,
  PAELLA_V3,
  PRIOR_V1,
  Paella,
  type PaellaConfig,
  type PriorConfig,
  PriorModel,
  VQGAN_F4,
  VQModel,
  type VQModelConfig,
} from '../src/index.js';
import { PyStorage, pickle, pyTensor, zipSegments } from '../../tensor/test/io-files.js';

interface ReleaseConfigs {
  unet: PaellaConfig;
  vqgan: VQModelConfig;
  byt5: ByT5Config;
  clip: CLIPConfig;
  prior: PriorConfig;
}

/** 16 heads, as wherever shapes are all that tells. */
export const TINY_RELEASE: ReleaseConfigs = {
  unet: {
    ...PAELLA_V3,
    c_in: 12,
    c_out: 12,
    num_labels: 48,
    c_r: 10,
    c_cond: 24,
    c_hidden: [16, 64, 64],
    blocks: [1, 2, 1],
    clip_embd: 12,
    byt5_embd: 24,
    clip_seq_len: 3,
  },
  vqgan: { ...VQGAN_F4, bottleneck_blocks: 2, c_hidden: 24, codebook_size: 48 },
  byt5: { ...BYT5_XL, d_model: 24, d_ff: 40, d_kv: 8, num_layers: 2, num_heads: 4 },
  clip: {
    embed_dim: 12,
    text_cfg: { context_length: 77, vocab_size: 190, width: 16, heads: 2, layers: 2 },
    vision_cfg: { image_size: 28, patch_size: 7, width: 16, head_width: 8, layers: 2 },
  },
  prior: { clip_r: 12, c_hidden: 16, c_r: 8, num_blocks: 3 },
};

const FULL_RELEASE: ReleaseConfigs = {
  unet: PAELLA_V3,
  vqgan: VQGAN_F4,
  byt5: BYT5_XL,
  clip: CLIP_VIT_H_14,
  prior: PRIOR_V1,
};

const PARTS = ['unet', 'vqgan', 'byt5', 'clip', 'prior'] as const;
type ReleasedPart = (typeof PARTS)[number];

/**
 * Writes `paella_v3.pt`, `vqgan_f4.pt`, `prior_v1.pt`, `byt5-xl/` (two shards of safetensors, f16, with a decoder's
 * tensor among them) and `clip-vit-h-14/` (whose tokenizer knows ASCII and merges nothing), one tensor at a time.
 */
export async function writeRelease(
  folder: string,
  configs: ReleaseConfigs = TINY_RELEASE,
  parts: readonly ReleasedPart[] = PARTS,
): Promise<void> {
  const device = await Device.create({ adapter: 'meta' });
  const writers: Record<ReleasedPart, () => Promise<unknown>> = {
    unet: () => writeTorch(join(folder, 'paella_v3.pt'), randomState(new Paella(configs.unet, { device }))),
    vqgan: () => writeTorch(join(folder, 'vqgan_f4.pt'), randomState(new VQModel(configs.vqgan, { device }))),
    byt5: () => writeByT5(join(folder, 'byt5-xl'), configs.byt5, device),
    clip: () => writeClip(join(folder, 'clip-vit-h-14'), configs.clip, device),
    prior: () =>
      writeTorch(join(folder, 'prior_v1.pt'), randomState(new PriorModel(configs.prior, { device }))),
  };
  await mkdir(folder, { recursive: true });
  for (const part of parts) await writers[part]();
}

/** `writeRelease` at full size, for `scripts/random-release.mjs`. @public */
export const writeFullRelease = (folder: string, parts?: readonly ReleasedPart[]): Promise<void> =>
  writeRelease(folder, FULL_RELEASE, parts);

async function writeByT5(folder: string, config: ByT5Config, device: Device): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { relative_attention_max_distance: _, ...published } = config;
  const rest = { model_type: 't5', feed_forward_proj: 'gated-gelu', num_decoder_layers: 1 };
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...published, ...rest }, null, 2));
  const encoder = randomState(new ByT5Encoder(config, { device }));
  const decoder = 'decoder.block.0.layer.0.SelfAttention.q.weight';
  const state: StateDict = {
    ...encoder,
    keys: () => [...encoder.keys(), decoder],
    info: (key) => encoder.info(key === decoder ? 'shared.weight' : key),
    get: (key) => encoder.get(key === decoder ? 'shared.weight' : key),
  };
  const bytes = state.keys().reduce((sum, key) => sum + 2 * count(state.info(key).shape), 0);
  await saveSafetensors(join(folder, 'model.safetensors'), state, {
    dtype: 'f16',
    maxShardBytes: Math.ceil(bytes * 0.6),
  });
}

async function writeClip(folder: string, config: CLIPConfig, device: Device): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'open_clip_config.json'), JSON.stringify({ model_cfg: config }));
  const ascii = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i));
  const tokens = [...ascii, ...ascii.map((char) => `${char}</w>`), '<start_of_text>', '<end_of_text>'];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ model: { vocab, merges: [] } }));
  await writeTorch(join(folder, 'open_clip_pytorch_model.bin'), randomState(new CLIP(config, { device })));
}

/** Writes a flat state dict as `torch.save` does, one tensor at a time. */
async function writeTorch(path: string, state: StateDict): Promise<void> {
  const root = basename(path).replace(/\.[^.]*$/, '');
  const tensors = new Map(
    state.keys().map((name, i) => {
      const { shape, dtype } = state.info(name);
      const strides = shape.map((__, axis) => count(shape.slice(axis + 1)));
      const type = dtype === 'i64' ? 'LongStorage' : 'FloatStorage';
      return [name, pyTensor(new PyStorage(type, String(i), count(shape)), 0, shape, strides)];
    }),
  );
  const object = pickle(tensors);
  const parts = [
    { name: `${root}/data.pkl`, data: object.length, read: async (): Promise<NamedTensor['data']> => object },
    ...state.keys().map((name, i) => ({
      name: `${root}/data/${i}`,
      data: count(state.info(name).shape) * (state.info(name).dtype === 'i64' ? 8 : 4),
      read: async () => (await state.get(name)).data,
    })),
  ];
  const file = await open(path, 'w');
  try {
    // The first segments are the headers of the parts, whose content follows each.
    for (const [i, { offset, bytes }] of zipSegments(parts).segments.entries()) {
      await file.write(bytes, 0, bytes.length, offset);
      if (i >= parts.length) continue;
      const content = await parts[i].read();
      await file.write(content, 0, content.byteLength, offset + bytes.length);
    }
  } finally {
    await file.close();
  }
}

/**
 * Random weights of a module's shapes under which activations keep their size: matrices by their inputs, norms around
 * one, biases around zero, nothing left at zero that upstream starts there. The same for a name wherever it is asked for.
 */
function randomState(module: nn.Module): StateDict {
  const parameters = new Map(module.namedParameters());
  return {
    keys: () => [...parameters.keys()],
    info(key) {
      const { shape, fileDType: dtype } = parameters.get(key)!;
      return { shape: [...shape], dtype };
    },
    async get(key) {
      const { shape, dtype } = this.info(key);
      const data = dtype === 'i64' ? new BigInt64Array(count(shape)) : randomValues(key, shape);
      return { shape, dtype, data };
    },
  };
}

function randomValues(key: string, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const { mean, spread } = distributionOf(key, shape);
  // Marsaglia's xorshift, from a hash (FNV-1a) of the name.
  let bits = 2166136261;
  for (const char of key) bits = Math.imul(bits ^ char.codePointAt(0)!, 16777619);
  const values = new Float32Array(count(shape));
  for (let i = 0; i < values.length; i++) {
    bits ^= bits << 13;
    bits ^= bits >>> 17;
    bits ^= bits << 5;
    values[i] = mean + (bits * spread) / 2 ** 31;
  }
  return values;
}

/** Uniform in `mean ± spread`. */
function distributionOf(key: string, shape: readonly number[]): { mean: number; spread: number } {
  const isVector = shape.length < 2 || /\.(gamma|beta)$/.test(key);
  if (isVector && /weight$|running_var$/.test(key)) return { mean: 1, spread: 0.1 };
  if (isVector) return { mean: 0, spread: 0.1 };
  const spread = Math.sqrt(3 / count(shape.slice(1)));
  // A step's modulation multiplies at every block; T5's scores are not scaled.
  if (key.endsWith('.mapper.weight')) return { mean: 0, spread: 0.1 * spread };
  return { mean: 0, spread: key.endsWith('SelfAttention.q.weight') ? spread / 8 : spread };
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
