import { PaellaError, Rng, loadStateDict } from '@paella/tensor';
import { type Group, shareValue } from '@paella/tensor/distributed';
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
import { newestCheckpoint } from '../run/checkpoints.js';
import { RunFolder } from '../run/folder.js';
import { type Learner, runLoop } from '../run/loop.js';
import { agree, together } from '../together.js';
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
  const readConfigOf = (input: unknown, origin: string) =>
    override(parseConfig(vqganRunConfig, input, origin), options);
  await run(context, 'vqgan', readConfigOf, options, version, async ({ config, group }) => {
    const [train, held] = await Promise.all(
      (['train', 'held'] as const).map((part) => openData(config, part === 'held', group)),
    );
    return new VqganLearner(config, { train, held }, await context.openDevice(group.localRank), group);
  });
}

/** `paella train paella` */
export async function trainPaella(context: Context, options: TrainOptions, version: string): Promise<void> {
  const readConfigOf = (input: unknown, origin: string) => {
    const parsed = override(parseConfig(paellaRunConfig, input, origin), options);
    const vqganSource = options.vqgan ?? parsed.vqgan;
    return { ...parsed, vqgan: vqganSource === 'default' ? vqganSource : absolute(vqganSource) };
  };
  await run(context, 'paella', readConfigOf, options, version, async (start) => {
    const { config, group } = start;
    const device = await context.openDevice(group.localRank);
    const { vqgan, identity } = await openVqgan(config.vqgan, device);
    const set = await openTokens(start, vqgan, identity, context);
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
    return new PaellaLearner(config, { set, vqgan, text, rng, group });
  });
}

/** `paella train image-encoder` */
export async function trainImageEncoder(
  context: Context,
  options: TrainOptions,
  version: string,
): Promise<void> {
  const readConfigOf = (input: unknown, origin: string) => {
    const parsed = override(parseConfig(imageEncoderRunConfig, input, origin), options);
    const where = options.model ?? parsed.paella;
    return { ...parsed, paella: where === 'default' ? where : absolute(where) };
  };
  await run(context, 'image-encoder', readConfigOf, options, version, async (start) => {
    const { config, group } = start;
    const device = await context.openDevice(group.localRank);
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
    const set = await openTokens(start, vqgan, identity, context);
    const rng = new Rng(config.training.seed);
    const unet = new Paella(model.card.unet.config, { device });
    const state = await model.checkpoint(model.card.unet.weights);
    await unet.loadStateDict(state);
    await state.close?.();
    const text = await openText({ kind: 'word-vectors', model: config.paella }, { device, rng });
    const finished = { card: model.card, unet, vqgan, text };
    return new ImageEncoderLearner(config, { set, model: finished, rng, group });
  });
}

type AnyConfig = VqganRunConfig | PaellaRunConfig | ImageEncoderRunConfig;

/** What a learner is made for. */
interface Start<C> {
  config: C;
  group: Group;
  /** In the first process only. */
  folder: RunFolder | null;
}

async function run<C extends AnyConfig>(
  context: Context,
  kind: string,
  readConfigOf: (input: unknown, origin: string) => C,
  options: TrainOptions,
  version: string,
  open: (start: Start<C>) => Promise<Learner>,
): Promise<void> {
  let checkpoint: string | null = null;
  let folder: RunFolder | null = null;
  let learner: Learner | null = null;
  const train = async (group: Group): Promise<void> => {
    const config = await chooseConfig(group, kind, readConfigOf, options, version);
    const resume = options.resume ?? false;
    if (group.rank === 0) folder = RunFolder.open(options.out, { kind, config, version, resume });
    learner = await open({ config, group, folder });
    const onCheckpoint = (path: string): void => void (checkpoint = path);
    const { step, metrics } = await runLoop(folder, learner, config.training, context, {
      group,
      onCheckpoint,
    });
    const lines = [
      metrics.loss === undefined
        ? `${step} steps were done before`
        : `${step} steps, loss ${metrics.loss.toFixed(4)}`,
      `report: ${join(options.out, 'report.html')}`,
      `model: ${join(options.out, 'model')}`,
    ];
    context.out.result({ step, ...metrics, run: options.out }, lines);
  };
  const close = (): void => folder?.close();
  const whatIsLeft = (): string => {
    if (!learner) return '';
    // The disk knows best: who fails while a checkpoint is saved has not heard of it. Hosts may have disks of their own.
    const saved = newestCheckpoint(options.out) ?? checkpoint;
    return saved ? `--resume goes on from ${saved}` : 'No checkpoint was saved yet';
  };
  const giveUp = (): string => {
    close();
    return whatIsLeft();
  };
  // Whoever asked to stop may not wait for the next one.
  context.signal.addEventListener('abort', () => {
    if (learner) context.out.note(whatIsLeft());
  });
  await together(context, train, giveUp).finally(close);
}

/** The configuration of a run, which must be the same in all processes. */
async function chooseConfig<C extends AnyConfig>(
  group: Group,
  kind: string,
  readConfigOf: (input: unknown, origin: string) => C,
  { config: name, resume, out }: TrainOptions,
  version: string,
): Promise<C> {
  const isStored = name === undefined && resume;
  const origin = name ?? `${kind}-emoji64`;
  let own: C | null = null;
  if (!isStored) own = readConfigOf(readConfig(origin), origin);
  // The folder of a run may be on the first host only.
  else if (group.rank === 0) own = readConfigOf(RunFolder.storedConfig(out, kind), join(out, 'run.json'));
  const config = (await shareValue(group, own))!;
  await agree(group, { version, command: process.argv.slice(2).join(' '), config: own ?? config });
  return config;
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

function openData({ data, training }: VqganRunConfig, isHeld: boolean, group: Group) {
  const { source, size, resize, crop, flip, shuffle_buffer: shuffleBuffer, split } = data;
  const common = { size, resize, seed: training.seed };
  return isHeld
    ? openDataset(source, {
        ...common,
        shuffleBuffer: 200,
        seed: 1,
        split: split === 'train' ? 'test' : split,
      })
    : openDataset(source, {
        ...common,
        crop,
        flip,
        shuffleBuffer,
        split: split || undefined,
        share: { index: group.rank, count: group.size },
      });
}

/** The tokens of a run's data, encoded when they are first needed. */
function openTokens(
  { folder, group, config: { data, training } }: Start<PaellaRunConfig | ImageEncoderRunConfig>,
  vqgan: VQModel,
  identity: string,
  context: Context,
): Promise<TokenSet> {
  const { source, size, resize, split } = data;
  const settings = { size, resize, split: split || undefined, seed: training.seed };
  const known = JSON.stringify([resolve(source), settings, identity]);
  const file = folder?.file('tokens.safetensors') ?? null;
  return loadTokens(file, source, settings, vqgan, known, context, group);
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
