/** `paella generate --prompts`: a picture for each line of a file, in WebDataset shards. */
import { scope } from '@paella/tensor';
import { type GenerateOptions as Drawing, Pipeline, type RgbaImage, openModel } from 'paella';
import type { GenerateOptions } from '../commands/generate.js';
import type { Context } from '../context.js';
import type { Member } from '../data/tar.js';
import { encodeImage } from '../image-file.js';
import { BulkFolder, type Content } from './folder.js';
import { modelIdentity } from './identity.js';
import { type Maker, runJob } from './job.js';
import type { BulkOptions } from './options.js';
import { type Item, type Plan, planPictures, runsOf } from './plan.js';
import { readPrompts } from './prompts.js';
import { report } from './report.js';

export interface BulkGenerateOptions extends GenerateOptions, BulkOptions {
  prompts: string;
  out: string;
  skipBadLines?: boolean;
}

/**
 * Draws the pictures of a shard. Picture k is drawn with the noise of number k of the seed, and batches begin at the same
 * pictures whoever draws them, so that neither sharding nor stopping changes a bit.
 */
export async function bulkGenerate(
  context: Context,
  options: BulkGenerateOptions,
  version: string,
): Promise<void> {
  const { count, batch, shardSize, dtype, shard } = options;
  const { lines, failed, sha256 } = await readPrompts(options.prompts, options);
  const model = await openModel(options.model);
  const base = model.sampler;
  const steps = options.steps ?? base.steps;
  const drawing = {
    steps,
    renoiseSteps: options.renoise ?? Math.min(base.renoiseSteps, steps - 1),
    temperature: options.temperature ?? base.temperature,
    cfg: options.cfg === undefined ? base.cfg : options.cfg,
    size: options.size ?? model.imageSize,
  } satisfies Drawing;
  const seed = options.seed ?? 0;
  const negative = options.negative ?? base.negative ?? '';
  const plan = planPictures(lines, { seed, negative, count, shardSize, batch });
  const settings = {
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
  const work = { kind: 'generate', prefix: 'generated', tars: plan.tars, settings };
  const folder = BulkFolder.open(options.out, work);

  const prepare = async (): Promise<Maker> => {
    const device = await context.openDevice();
    const pipeline = await Pipeline.load(options.model, {
      device,
      dtype,
      onProgress({ part, done, total }) {
        context.checkInterrupt();
        context.out.progress(`loading ${part}`, done, total);
      },
    });
    const draw = (items: readonly Item[]): Promise<RgbaImage[]> =>
      drawRun(pipeline, items, { ...drawing, signal: context.signal });
    return {
      by: { adapter: device.info.name, version },
      async make(tar, ready): Promise<Content> {
        const members: Member[] = [];
        for (const run of plan.batches(tar).flatMap(runsOf)) {
          const images = await draw(run);
          run.forEach((item, i) => members.push(...membersOf(item, images[i], plan, model.name, drawing)));
          ready(run.length);
        }
        const troubles = plan.linesOf(tar).flatMap((line) => failed.get(line) ?? []);
        return { members, items: plan.sizeOf(tar), failed: troubles };
      },
    };
  };
  report(context, await runJob(context, { folder, shard, sizeOf: plan.sizeOf, prepare }), 'pictures');
}

/** Pictures of one seed, whose numbers follow each other, and of one negative prompt. */
function drawRun(pipeline: Pipeline, items: readonly Item[], drawing: Drawing): Promise<RgbaImage[]> {
  const [{ negative, seed, stream: first }] = items;
  const requests = items.map(({ prompt }) => ({ prompt }));
  return scope(async () => {
    const [uncond, ...conditions] = await pipeline.conditions([
      { prompt: negative, asWritten: true },
      ...requests,
    ]);
    const { images } = await pipeline.draw(conditions, uncond, { ...drawing, seed, first });
    return images;
  });
}

/** The files of an item: picture, what it was made from, and the caption that training reads. */
function membersOf(
  { index, line, prompt, negative, seed }: Item,
  image: RgbaImage,
  { keyOf }: Plan,
  model: string,
  { size, ...settings }: Drawing,
): Member[] {
  const caption = typeof line.caption === 'string' ? line.caption : prompt;
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
  const key = keyOf(index);
  return [
    [`${key}.png`, encodeImage(`${key}.png`, image)],
    [`${key}.json`, Buffer.from(JSON.stringify(json))],
    [`${key}.txt`, Buffer.from(caption)],
  ];
}
