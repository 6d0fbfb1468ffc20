/** `paella encode --data`: the tokens of all pictures of a data set, in WebDataset shards. */
import { type Tensor, PaellaError, noGrad, scope } from '@paella/tensor';
import type { Group } from '@paella/tensor/distributed';
import { createHash } from 'node:crypto';
import type { VQModel } from 'paella';
import { loadCodec, openCodec } from '../codec.js';
import type { EncodeOptions } from '../commands/tokens.js';
import type { Context } from '../context.js';
import { openSource } from '../data/dataset.js';
import { decodePicture } from '../data/decode.js';
import type { Part, RawItem } from '../data/item.js';
import type { Member } from '../data/tar.js';
import { reason } from '../files.js';
import { batchTensor } from '../train/batch.js';
import type { Content, Failure } from './folder.js';
import { fingerprint } from './identity.js';
import type { Maker } from './job.js';
import { npy } from './npy.js';
import type { BulkOptions } from './options.js';
import { type BulkRun, runBulk } from './run.js';

export interface BulkEncodeOptions extends EncodeOptions, BulkOptions {
  data: string;
  out: string;
}

type Size = readonly [number, number];

/** A picture that has been read, or what is wrong with it. */
interface Picture {
  /** Its place in the part, counting those that cannot be read. */
  index: number;
  item: RawItem;
  pixels: Uint8Array | Failure;
}

/**
 * Encodes the pictures of a shard. Each tar is made of one of the source's own or of so many pictures of a folder, so that
 * a process reads nothing but its share.
 */
export function bulkEncode(context: Context, options: BulkEncodeOptions, version: string): Promise<void> {
  return runBulk(context, options, { what: 'pictures', version }, (group) =>
    planTokens(context, options, version, group),
  );
}

async function planTokens(
  context: Context,
  options: BulkEncodeOptions,
  version: string,
  { localRank }: Group,
): Promise<BulkRun> {
  const { batch, shardSize, dtype } = options;
  const parts = (await openSource(options.data)).parts(shardSize);
  const codec = await openCodec(options.model);
  const size = options.size ?? codec.imageSize;
  if (!size) {
    throw new PaellaError('argument', `${options.model} doesn't say how large its pictures are`, {
      fix: 'Pass --size, such as --size 256x256: pictures are scaled to cover it, and cropped.',
    });
  }
  const state = await codec.part.state();
  const vqgan = await fingerprint(state).finally(() => state.close?.());
  const names = createHash('sha256');
  for (const part of parts) names.update(`${part.names.join('\n')}\n\n`);
  const settings = {
    command: 'encode',
    data: { parts: parts.length, names: names.digest('hex').slice(0, 16) },
    size,
    model: { vqgan },
    dtype,
    batch,
    // Shards are as large as they are.
    ...(parts[0].length !== null && { shardSize }),
  };
  const work = { prefix: 'encoded', tars: parts.length, settings };

  const prepare = async (): Promise<Maker> => {
    const device = await context.openDevice(localRank);
    const model = await loadCodec(context, options, device, codec);
    checkSize(size, model);
    return {
      by: { adapter: device.info.name, version },
      make: (tar, ready) => encodePart(model, parts[tar], tar, { size, batch, ready }),
    };
  };
  return { work, sizeOf: (tar) => parts[tar].length, prepare };
}

function checkSize([width, height]: Size, { factor }: VQModel): void {
  if (width % factor === 0 && height % factor === 0) return;
  throw new PaellaError(
    'argument',
    `${width}×${height} pixels do not divide into tokens of ${factor}×${factor}`,
  );
}

/** @returns what goes into the tar, or why that cannot be told now */
async function encodePart(
  vqgan: VQModel,
  part: Part,
  tar: number,
  { size, batch, ready }: { size: Size; batch: number; ready: (items: number) => void },
): Promise<Content | string> {
  const members: Member[] = [];
  const failed: Failure[] = [];
  let items = 0;
  const isMissing = (name: string, why: string): void => void failed.push({ name, reason: why });
  try {
    for await (const pictures of batches(part.items(isMissing), batch, size)) {
      const good = pictures.filter(({ pixels }) => pixels instanceof Uint8Array);
      for (const { pixels } of pictures) if (!(pixels instanceof Uint8Array)) failed.push(pixels);
      if (good.length > 0) members.push(...(await encodeBatch(vqgan, good, tar, size)));
      items += good.length;
      ready(good.length);
    }
  } catch (error) {
    if (error instanceof PaellaError) throw error;
    // A server that didn't answer: perhaps it does the next time.
    return `${part.names[0]} cannot be read: ${reason(error)}`;
  }
  return { members, items, failed };
}

/** Reads pictures a batch ahead of what is computed. */
async function* batches(items: AsyncIterable<RawItem>, count: number, size: Size): AsyncGenerator<Picture[]> {
  let ahead: Promise<Picture[]> | null = null;
  let batch: Promise<Picture>[] = [];
  let index = 0;
  for await (const item of items) {
    batch.push(readPicture(item, index++, size));
    if (batch.length < count) continue;
    const ready = ahead;
    ahead = Promise.all(batch);
    batch = [];
    if (ready) yield await ready;
  }
  if (ahead) yield await ahead;
  if (batch.length > 0) yield await Promise.all(batch);
}

async function readPicture(item: RawItem, index: number, size: Size): Promise<Picture> {
  try {
    const options = { size, resize: 'cover', position: { x: 0.5, y: 0.5 }, flip: false } as const;
    return { index, item, pixels: await decodePicture(await item.read(), options) };
  } catch (error) {
    return { index, item, pixels: { name: item.key, reason: reason(error) } };
  }
}

async function encodeBatch(
  vqgan: VQModel,
  pictures: readonly Picture[],
  tar: number,
  size: Size,
): Promise<Member[]> {
  const pixels = pictures.map((picture) => picture.pixels as Uint8Array);
  const indices: Tensor = noGrad(() =>
    scope(() => vqgan.encodeIndices(batchTensor(vqgan.device, pixels, size))),
  );
  const [, height, width] = indices.shape;
  const tokens = (await indices.data()) as Uint32Array;
  indices.dispose();
  return pictures.flatMap(({ index, item }, i) => {
    const own = tokens.subarray(i * height * width, (i + 1) * height * width);
    return membersOf(item, tar, index, npy(narrow(own, vqgan), [height, width]));
  });
}

/** 16 bits where they are enough, as they are for every codebook that was published. */
const narrow = (tokens: Uint32Array, { config }: VQModel): Uint16Array | Uint32Array =>
  config.codebook_size <= 2 ** 16 ? Uint16Array.from(tokens) : tokens;

/**
 * The files of an item. `.npy` is what WebDataset decodes by itself. The key is made as img2dataset makes it, of the numbers of tar and item, since names of files
 * may hold dots; the source's own name is in the JSON.
 */
function membersOf(
  { key: source, captions, weight, split }: RawItem,
  tar: number,
  index: number,
  tokens: Uint8Array,
): Member[] {
  const key = `${String(tar).padStart(5, '0')}${String(index).padStart(6, '0')}`;
  const json = { source, caption: captions[0] ?? '', captions, weight, split, tar, index };
  return [
    [`${key}.npy`, tokens],
    [`${key}.json`, Buffer.from(JSON.stringify(json))],
    ...(captions.length > 0 ? [[`${key}.txt`, Buffer.from(captions[0])] as const] : []),
  ];
}
