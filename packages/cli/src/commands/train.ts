import { PaellaError, Rng, loadStateDict } from '@paella/tensor';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Paella, VQModel, openModelFolder, vqganConfig } from 'paella';
import type { CommonOptions, Context } from '../context.js';
import { openDataset } from '../data/dataset.js';
import {
  type ImageEncoderRunConfig,
  type PaellaRunConfig,
  type VqganRunConfig,
  imageEncoderRunConfig,
  paellaRunConfig,
  parseConfig,
  readConfig,
  vqganRunConfig,
} from '../run/config.js';
import { RunFolder } from '../run/folder.js';
import { type Learner, runLoop } from '../run/loop.js';
import { ImageEncoderLearner } from '../train/image-encoder.js';
import { PaellaLearner } from '../train/paella.js';
import { openText } from '../train/text.js';
import { type TokenSet, loadTokens } from '../train/tokens.js';
import { VqganLearner } from '../train/vqgan.js';

export interface TrainOptions extends CommonOptions {
  /** A file or a name; a run that goes on keeps its own, and others have `<kind>-emoji64`. */
  config?: string;
  data?: string;
  out: string;
  steps?: number;
  resume?: boolean;
  vqgan?: string;
  model?: string;
  /** f16 asks for mixed precision. */
  dtype?: 'f32' | 'f16';
}

/** `paella train vqgan` */
export async function trainVqgan(context: Context, options: TrainOptions, version: string): Promise<void> {
  const { input, origin } = chooseConfig('vqgan', options);
  const config = override(parseConfig(vqganRunConfig, input, origin), options);
  await run(context, 'vqgan', config, options, version, async () => {
    const [train, held] = await Promise.all(
      (['train', 'held'] as const).map((part) => openData(config, part === 'held')),
    );
    return new VqganLearner(config, { train, held }, await context.openDevice());
  });
}

/** `paella train paella` */
export async function trainPaella(context: Context, options: TrainOptions, version: string): Promise<void> {
  const { input, origin } = chooseConfig('paella', options);
  const parsed = override(parseConfig(paellaRunConfig, input, origin), options);
  const vqganSource = options.vqgan ?? parsed.vqgan;
  const config = { ...parsed, vqgan: vqganSource === 'default' ? vqganSource : absolute(vqganSource) };
  await run(context, 'paella', config, options, version, async (folder) => {
    const device = await context.openDevice();
    const { vqgan, identity } = await openVqgan(config.vqgan, device);
    const set = await openTokens(folder, config, vqgan, identity, context);
    if (vqgan.config.codebook_size !== config.model.num_labels) {
      throw new PaellaError(
        'argument',
        `the VQGAN has ${vqgan.config.codebook_size} codes, the model ${config.model.num_labels} labels`,
        {
          fix: `Set model.num_labels to ${vqgan.config.codebook_size}.`,
        },
      );
    }
    const rng = new Rng(config.training.seed);
    const text = await openText(config.text, { device, rng });
    if (text.width !== config.model.byt5_embd) {
      throw new PaellaError(
        'argument',
        `the text encoder's vectors have ${text.width} numbers, model.byt5_embd is ${config.model.byt5_embd}`,
      );
    }
    return new PaellaLearner(config, { set, vqgan, text, rng });
  });
}

/** `paella train image-encoder` */
export async function trainImageEncoder(
  context: Context,
  options: TrainOptions,
  version: string,
): Promise<void> {
  const { input, origin } = chooseConfig('image-encoder', options);
  const parsed = override(parseConfig(imageEncoderRunConfig, input, origin), options);
  const where = options.model ?? parsed.paella;
  const config = { ...parsed, paella: where === 'default' ? where : absolute(where) };
  await run(context, 'image-encoder', config, options, version, async (folder) => {
    const device = await context.openDevice();
    const model = await openModelFolder(config.paella);
    const { clip_embd } = model.card.unet.config;
    if (config.model.embed_dim !== clip_embd) {
      throw new PaellaError(
        'argument',
        `the model reads image vectors of ${clip_embd} numbers, the encoder makes ${config.model.embed_dim}`,
        { fix: `Set model.embed_dim to ${clip_embd}.` },
      );
    }
    const { vqgan, identity } = await openVqgan(config.paella, device);
    const set = await openTokens(folder, config, vqgan, identity, context);
    const rng = new Rng(config.training.seed);
    const unet = new Paella(model.card.unet.config, { device });
    const state = await model.checkpoint(model.card.unet.weights);
    await unet.loadStateDict(state);
    await state.close?.();
    const text = await openText({ kind: 'word-vectors', model: config.paella }, { device, rng });
    return new ImageEncoderLearner(config, { set, model: { card: model.card, unet, vqgan, text }, rng });
  });
}

type AnyConfig = VqganRunConfig | PaellaRunConfig | ImageEncoderRunConfig;

async function run(
  context: Context,
  kind: string,
  config: AnyConfig,
  options: TrainOptions,
  version: string,
  open: (folder: RunFolder) => Promise<Learner>,
): Promise<void> {
  const folder = RunFolder.open(options.out, { kind, config, version, resume: options.resume ?? false });
  try {
    const learner = await open(folder);
    const { step, metrics } = await runLoop(folder, learner, config.training, context);
    const lines = [
      metrics.loss === undefined
        ? `${step} steps were done before`
        : `${step} steps, loss ${metrics.loss.toFixed(4)}`,
      `report: ${join(options.out, 'report.html')}`,
      `model: ${join(options.out, 'model')}`,
    ];
    context.out.result({ step, ...metrics, run: options.out }, lines);
  } finally {
    folder.close();
  }
}

function chooseConfig(
  kind: string,
  { config, resume, out }: TrainOptions,
): { input: unknown; origin: string } {
  if (config === undefined && resume) {
    return { input: RunFolder.storedConfig(out, kind), origin: join(out, 'run.json') };
  }
  const origin = config ?? `${kind}-emoji64`;
  return { input: readConfig(origin), origin };
}

/** A run may be resumed from another folder. Addresses, and lists of them, stay as they are. */
const absolute = (path: string): string => (/^[a-z]+:\/\//i.test(path) ? path : resolve(path));

/** What the command line says stands above the file. */
function override<C extends AnyConfig>(config: C, { data, steps, seed, dtype }: TrainOptions): C {
  const source = data ?? config.data.source;
  if (!source) {
    throw new PaellaError('argument', 'no data to learn from', {
      fix: 'Name a folder of pictures or shards with --data, or data.source in the configuration.',
    });
  }
  const precision = dtype === 'f16' ? 'mixed' : dtype;
  const training = {
    ...config.training,
    ...(steps && { steps }),
    ...(seed !== undefined && { seed }),
    ...(precision && { precision }),
  };
  return { ...config, data: { ...config.data, source: absolute(source) }, training };
}

function openData({ data, training }: VqganRunConfig, isHeld: boolean) {
  const { source, size, resize, crop, flip, shuffle_buffer: shuffleBuffer, split } = data;
  const common = { size, resize, seed: training.seed };
  return isHeld
    ? openDataset(source, {
        ...common,
        shuffleBuffer: 200,
        seed: 1,
        split: split === 'train' ? 'test' : split,
      })
    : openDataset(source, { ...common, crop, flip, shuffleBuffer, split: split || undefined });
}

/** The tokens of a run's data, encoded when they are first needed. */
function openTokens(
  folder: RunFolder,
  { data, training }: Pick<PaellaRunConfig, 'data' | 'training'>,
  vqgan: VQModel,
  identity: string,
  context: Context,
): Promise<TokenSet> {
  const { source, size, resize, split } = data;
  const settings = { size, resize, split: split || undefined, seed: training.seed };
  const known = JSON.stringify([resolve(source), settings, identity]);
  return loadTokens(folder.file('tokens.safetensors'), source, settings, vqgan, known, context);
}

/** The VQGAN of a run's folder, or of a model folder. */
async function openVqgan(
  where: string,
  device: VQModel['device'],
): Promise<{ vqgan: VQModel; identity: string }> {
  const folder = existsSync(join(where, 'run.json')) ? join(where, 'model') : where;
  const card = join(folder, 'model.json');
  let config: VQModel['config'];
  let state;
  if (existsSync(card) && isVqganCard(card)) {
    const { vqgan } = JSON.parse(readFileSync(card, 'utf8')) as {
      vqgan: { weights: string; config: unknown };
    };
    config = parseConfig(vqganConfig, vqgan.config, card);
    state = await loadStateDict(join(folder, vqgan.weights));
  } else {
    const model = await openModelFolder(folder);
    config = model.card.vqgan.config;
    state = await model.checkpoint(model.card.vqgan.weights);
  }
  const vqgan = new VQModel(config, { device });
  await vqgan.loadStateDict(state);
  vqgan.requiresGrad_(false);
  // Two VQGANs of one shape differ in their codebooks.
  const codes = await vqgan.vquantizer.codebook.weight.save();
  return { vqgan, identity: JSON.stringify([config, Array.from(codes.subarray(0, 64))]) };
}

const isVqganCard = (path: string): boolean =>
  (JSON.parse(readFileSync(path, 'utf8')) as { format?: string }).format === 'paella-vqgan/1';
