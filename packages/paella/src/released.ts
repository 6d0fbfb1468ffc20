import { PaellaError, type StateDict } from '@paella/tensor';
import * as v from 'valibot';
import { CLIP } from './clip/clip.js';
import { CLIP_VIT_H_14, type CLIPConfig } from './clip/config.js';
import { openClipTokenizer } from './clip/tokenizer.js';
import type { Folder } from './folder.js';
import { type IdentifiedModel, completeConfig, completePaellaConfig, identifyModel } from './inspect.js';
import type { MissingPart, Model } from './model.js';
import { unetConfig } from './model-folder.js';
import { PRESETS } from './presets.js';
import { type PriorConfig, PriorModel } from './prior/prior-model.js';
import { count, finite } from './schemas.js';
import { ByT5Encoder } from './text/byt5.js';
import { openByT5Folder } from './text/byt5-folder.js';
import { PAELLA_V3, type PaellaConfig } from './unet/config.js';
import { Paella, tokenMultiple } from './unet/paella.js';
import { VQGAN_F4, VQModel, type VQModelConfig, pixelsPerToken } from './vqgan/vqmodel.js';

/** A released file: the names it may have, what it is for, and where to get it. */
interface Release extends MissingPart {
  names: readonly string[];
}

const PAELLA = 'https://huggingface.co/dome272/Paella';

const RELEASES = {
  unet: {
    file: 'paella_v3.pt',
    names: ['paella_v3.pt', 'paella_v3.safetensors'],
    purpose: 'the U-Net that draws',
    published: PAELLA,
  },
  vqgan: {
    file: 'vqgan_f4.pt',
    names: [
      'vqgan_f4.pt',
      'vqgan_f4.safetensors',
      'vqgan/diffusion_pytorch_model.safetensors',
      'diffusion_pytorch_model.safetensors',
    ],
    purpose: 'the VQGAN that turns tokens into pixels',
    published: `${PAELLA}, or as safetensors in https://huggingface.co/warp-ai/wuerstchen`,
  },
  byt5: {
    file: 'byt5-xl/',
    names: ['byt5-xl/config.json'],
    purpose: 'ByT5, which reads the prompt',
    published: 'https://huggingface.co/google/byt5-xl',
  },
} as const satisfies Record<string, Release>;

/** Without these the U-Net still draws, from less. */
const OPTIONAL = {
  clip: {
    file: 'clip-vit-h-14/',
    names: [
      'clip-vit-h-14/open_clip_model.safetensors',
      'clip-vit-h-14/open_clip_pytorch_model.bin',
      'clip-vit-h-14/model.safetensors',
      'clip-vit-h-14/pytorch_model.bin',
    ],
    purpose: 'CLIP, which reads the prompt a second time, and pictures',
    published: 'https://huggingface.co/laion/CLIP-ViT-H-14-laion2B-s32B-b79K',
  },
  prior: {
    file: 'prior_v1.pt',
    names: ['prior_v1.pt', 'prior_v1.safetensors'],
    purpose: 'the prior, which imagines a picture for a prompt',
    published: PAELLA,
  },
} as const satisfies Record<string, Release>;

/** Whether a folder holds the released U-Net, which is what tells such folders apart. */
export const isReleased = async (folder: Folder): Promise<boolean> =>
  (await folder.find(RELEASES.unet.names)) !== undefined;

/**
 * A folder of released files under their own names. Configurations are read off the tensors' shapes, where a
 * `paella_v3.json` beside them does not give the U-Net's.
 *
 * @throws PaellaError `not-found` naming every file that is missing and has to be there, what it is for and where it
 *   is published; `format` if a file is not what its name says
 */
export async function describeReleased(folder: Folder): Promise<Model> {
  const [unetFile, vqganFile, byt5File] = await Promise.all(
    [RELEASES.unet, RELEASES.vqgan, RELEASES.byt5].map(({ names }) => folder.find(names)),
  );
  requireAll(folder, { unet: unetFile, vqgan: vqganFile, byt5: byt5File });
  const optional = await openOptional(folder);
  const unet = await readUnetConfig(folder, unetFile!);
  const vqgan = await readVqganConfig(folder, vqganFile!);
  const byt5 = await openByT5Folder(folder.inside('byt5-xl'));
  return {
    name: folder.name,
    imageSize: [64 * pixelsPerToken(vqgan), 64 * pixelsPerToken(vqgan)],
    captions: { suffix: '', styles: [] },
    sampler: PRESETS.notebook,
    tokenMultiple: tokenMultiple(unet),
    factor: pixelsPerToken(vqgan),
    numLabels: unet.num_labels,
    clipTokens: unet.clip_seq_len,
    unet: {
      name: 'unet',
      build: (device) => new Paella(unet, { device }),
      state: () => folder.checkpoint(unetFile!),
    },
    vqgan: {
      name: 'vqgan',
      build: (device) => new VQModel(vqgan, { device }),
      state: () => folder.checkpoint(vqganFile!),
    },
    text: {
      kind: 'byt5',
      part: {
        name: 'text_encoder',
        build: (device) => new ByT5Encoder(byt5.config, { device }),
        state: () => byt5.state(),
      },
    },
    ...optional,
  };
}

/** CLIP and the prior, as far as they are there. */
async function openOptional(
  folder: Folder,
): Promise<Pick<Model, 'clipText' | 'clipImage' | 'prior' | 'missing'>> {
  const [clipFile, priorFile] = await Promise.all(
    [OPTIONAL.clip, OPTIONAL.prior].map(({ names }) => folder.find(names)),
  );
  const missing = [...(clipFile ? [] : [OPTIONAL.clip]), ...(priorFile ? [] : [OPTIONAL.prior])];
  const clip = clipFile ? await openClip(folder, clipFile) : {};
  if (!priorFile) return { ...clip, missing };
  const config = await readPriorConfig(folder, priorFile);
  const prior: Model['prior'] = {
    name: 'prior',
    build: (device) => new PriorModel(config, { device }),
    state: () => folder.checkpoint(priorFile),
  };
  return { ...clip, prior, missing };
}

async function openClip(folder: Folder, file: string): Promise<Pick<Model, 'clipText' | 'clipImage'>> {
  const config = await readClipConfig(folder.inside('clip-vit-h-14'));
  const state = (): Promise<StateDict> => folder.checkpoint(file);
  const text: CLIPConfig = { ...config, vision_cfg: null };
  const image: CLIPConfig = { ...config, text_cfg: null };
  return {
    clipText: {
      part: { name: 'clip_text', build: (device) => new CLIP(text, { device }), state },
      tokenizer: () =>
        openClipTokenizer(folder.inside('clip-vit-h-14'), {
          contextLength: config.text_cfg?.context_length,
        }),
    },
    clipImage: { name: 'clip_image', build: (device) => new CLIP(image, { device }), state },
  };
}

function requireAll(folder: Folder, found: Record<keyof typeof RELEASES, string | undefined>): void {
  const missing = Object.entries(found).flatMap(([part, file]) =>
    file === undefined ? [RELEASES[part as keyof typeof RELEASES]] : [],
  );
  if (missing.length === 0) return;
  const list = missing.map(({ file, purpose, published }) => `${file}, ${purpose} (${published})`);
  throw new PaellaError('not-found', `${folder.name} lacks ${list.join('; ')}`, {
    fix: 'Download what is missing into the folder',
  });
}

/** What a checkpoint's names and shapes tell. */
async function identify(folder: Folder, file: string): Promise<IdentifiedModel> {
  const state = await folder.checkpoint(file);
  const found = identifyModel(state.keys().map((name) => ({ name, ...state.info(name) })));
  await state.close?.();
  return found;
}

function wrongKind(folder: Folder, file: string, expected: string, { kind }: IdentifiedModel): PaellaError {
  return new PaellaError('format', `${folder.nameOf(file)} should hold a ${expected}, not: ${kind}`, {
    fix: "'paella inspect' shows what it holds",
  });
}

/** What open_clip writes beside weights; fields that the towers have no use for are left aside. */
const openClipConfig = v.object({
  model_cfg: v.object({
    embed_dim: count,
    text_cfg: v.object({
      context_length: count,
      vocab_size: count,
      width: count,
      heads: count,
      layers: count,
      mlp_ratio: v.optional(finite),
    }),
    vision_cfg: v.object({
      image_size: count,
      patch_size: count,
      width: count,
      head_width: v.optional(count, 64),
      layers: count,
      mlp_ratio: v.optional(finite),
    }),
  }),
});

async function readUnetConfig(folder: Folder, file: string): Promise<PaellaConfig> {
  const beside = await folder.find(['paella_v3.json']);
  if (beside) return folder.json(beside, unetConfig);
  const found = await identify(folder, file);
  if (found.kind !== 'paella') throw wrongKind(folder, file, 'U-Net', found);
  // Upstream's constructor has 16 heads wherever there is attention.
  return completePaellaConfig(file, found.config, PAELLA_V3);
}

async function readVqganConfig(folder: Folder, file: string): Promise<VQModelConfig> {
  const found = await identify(folder, file);
  if (found.kind !== 'vqgan') throw wrongKind(folder, file, 'VQGAN', found);
  return completeConfig<VQModelConfig>(file, { ...found.config, scale_factor: VQGAN_F4.scale_factor });
}

async function readPriorConfig(folder: Folder, file: string): Promise<PriorConfig> {
  const found = await identify(folder, file);
  if (found.kind !== 'prior') throw wrongKind(folder, file, 'prior', found);
  return completeConfig<PriorConfig>(file, found.config);
}

/** `open_clip_config.json` beside the weights, or else the one that the U-Net was trained with. */
async function readClipConfig(folder: Folder): Promise<CLIPConfig> {
  const file = await folder.find(['open_clip_config.json']);
  if (!file) return CLIP_VIT_H_14;
  return (await folder.json(file, openClipConfig)).model_cfg;
}
