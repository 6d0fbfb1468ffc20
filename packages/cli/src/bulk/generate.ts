/** `paella generate --prompts`: a picture for each line of a file, in WebDataset shards. */
import { scope } from '@paella/tensor';
import type { Group } from '@paella/tensor/distributed';
import {
  type GenerateOptions as Drawing,
  type Pipeline,
  type RgbaImage,
  chooseSettings,
  openModel,
  parsePromptWeights,
} from 'paella';
import type { GenerateOptions } from '../commands/generate.js';
import type { Context } from '../context.js';
import type { Member } from '../data/tar.js';
import { encodeImage } from '../image-file.js';
import { loadPipeline } from '../pictures.js';
import type { Content } from './folder.js';
import { modelIdentity } from './identity.js';
import type { Maker } from './job.js';
import type { BulkOptions } from './options.js';
import { type Item, planPictures, runsOf } from './plan.js';
import { readPrompts } from './prompts.js';
import { type BulkRun, runBulk } from './run.js';

export interface BulkGenerateOptions extends GenerateOptions, BulkOptions {
  prompts: string;
  out: string;
  skipBadLines?: boolean;
}

/** Encoded prompts that are kept on the device. */
const promptsAtOnce = 256;

/**
 * Draws the pictures of a shard. Picture k is drawn with the noise of number k of the seed, and batches begin at the same
 * pictures whoever draws them, so that neither sharding nor stopping changes a bit.
 */
export function bulkGenerate(context: Context, options: BulkGenerateOptions, version: string): Promise<void> {
  return runBulk(context, options, { what: 'pictures', version }, (group) =>
    planDrawings(context, options, version, group),
  );
}

async function planDrawings(
  context: Context,
  options: BulkGenerateOptions,
  version: string,
  { localRank }: Group,
): Promise<BulkRun> {
  const { preset, count, batch, shardSize, dtype } = options;
  const { lines, failed, sha256 } = await readPrompts(options.prompts, options);
  const model = await openModel(options.model);
  const base = chooseSettings(model.sampler, { ...options, renoiseSteps: options.renoise });
  const drawing = {
    ...(preset && { preset }),
    steps: base.steps,
    renoiseSteps: base.renoiseSteps,
    temperature: base.temperature,
    cfg: options.cfg === 'off' ? null : (options.cfg ?? base.cfg),
    ...(options.typical !== undefined && { typical: { mass: options.typical } }),
    size: options.size ?? model.imageSize,
  } satisfies Drawing;
  const seed = options.seed ?? 0;
  const negative = options.negative ?? base.negative ?? '';
  const plan = planPictures(lines, { seed, negative, count, shardSize, batch });
  const settings = {
    command: 'generate',
    prompts: { sha256, lines: lines.length },
    count,
    seed,
    negative,
    ...drawing,
    model: await modelIdentity(model),
    dtype,
    batch,
    shardSize,
  };
  const work = { prefix: 'generated', tars: plan.tars, settings };

  const prepare = async (): Promise<Maker> => {
    const pipeline = await loadPipeline(context, options, localRank);
    return {
      by: { adapter: pipeline.device.info.name, version },
      async make(tar, ready): Promise<Content> {
        const members: Member[] = [];
        for (const group of groupsOf(plan.batches(tar), Math.ceil(promptsAtOnce / batch))) {
          await drawGroup(pipeline, group, { ...drawing, signal: context.signal }, (items, images) => {
            items.forEach((item, i) => {
              members.push(...membersOf(item, images[i], plan.keyOf(item.index), model.name, drawing));
            });
            ready(items.length);
          });
        }
        const troubles = plan.linesOf(tar).flatMap((line) => failed.get(line) ?? []);
        return { members, items: plan.sizeOf(tar), failed: troubles };
      },
    };
  };
  return { work, sizeOf: plan.sizeOf, prepare };
}

/**
 * Draws batches one after the other. Their prompts are encoded before the first, all at once: where memory is low, the
 * text encoder has to go before the U-Net comes.
 */
function drawGroup(
  pipeline: Pipeline,
  batches: readonly (readonly Item[])[],
  drawing: Drawing,
  ready: (items: readonly Item[], images: readonly RgbaImage[]) => void,
): Promise<void> {
  const items = batches.flat();
  const prompts = items.map(({ prompt, seed, stream }) => ({ prompt, seed, index: stream }));
  const negatives = items.map(({ negative }) => ({ prompt: negative, asWritten: true, usePrior: false }));
  return scope(async () => {
    const conditions = await pipeline.conditions([...prompts, ...negatives], drawing);
    let at = 0;
    for (const run of batches.flatMap(runsOf)) {
      const cond = conditions.slice(at, at + run.length);
      const uncond = conditions.slice(items.length + at, items.length + at + run.length);
      at += run.length;
      const [{ seed, stream: first }] = run;
      const { images } = await pipeline.draw(cond, uncond, { ...drawing, seed, first });
      ready(run, images);
    }
  });
}

function groupsOf<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}

/** The files of an item: picture, what it was made from, and the caption that training reads. */
function membersOf(
  { index, line, prompt, negative, seed }: Item,
  image: RgbaImage,
  key: string,
  model: string,
  { size, ...settings }: Drawing,
): Member[] {
  const caption = typeof line.caption === 'string' ? line.caption : parsePromptWeights(prompt).text;
  const json = {
    ...line,
    caption,
    negative,
    seed,
    index,
    width: size?.[0],
    height: size?.[1],
    model,
    settings,
  };
  return [
    [`${key}.png`, encodeImage(`${key}.png`, image)],
    [`${key}.json`, Buffer.from(JSON.stringify(json))],
    [`${key}.txt`, Buffer.from(caption)],
  ];
}
