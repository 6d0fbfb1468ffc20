/** Captioned pictures in an order that the seed decides and a position resumes. */
import { PaellaError, Rng } from '@paella/tensor';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { reason } from '../files.js';
import { decodePicture } from './decode.js';
import { openFolder } from './folder.js';
import type { Part, RawItem, Source } from './item.js';
import { type Share, shuffleBuffer, whole } from './order.js';
import { expandBraces, openShards } from './webdataset.js';

export interface Example {
  /** Name of the item in its source, unique. */
  key: string;
  /** RGB, row by row, size·size·3 bytes; transparency shows white. */
  pixels: Uint8Array;
  /** The main caption first; empty if the source has none. */
  captions: string[];
  /** The share of passes that the source wants the item in. */
  weight: number;
}

export interface DataOptions {
  /** Side of the pictures in pixels. */
  size: number;
  resize?: 'cover' | 'contain' | 'none';
  crop?: 'center' | 'random';
  /** Mirror half of the pictures. */
  flip?: boolean;
  shuffle?: boolean;
  /** Items that shards are mixed by. */
  shuffleBuffer?: number;
  seed: number;
  /** Pictures decoded ahead. */
  prefetch?: number;
  /** Take every item in every pass, whatever its weight. */
  ignoreWeights?: boolean;
  /** Take only items of this split, where the source names splits. */
  split?: string;
  /** Take one process's share of each pass. Shares differ in length: processes begin their epochs at different steps. */
  share?: Share;
}

/** Where a pass over the data stands. */
export interface DataPosition {
  epoch: number;
  /** Items of the epoch that came before, taken or not. */
  index: number;
}

export interface Dataset {
  /** Items of a pass, null where only reading everything would tell. */
  readonly length: number | null;
  /** Items that could not be read so far, and the names of the first of them. */
  readonly skipped: { count: number; names: string[] };
  /**
   * One pass, or without end, from a position on. Equal seeds give equal examples, and going on from `next` gives what
   * would have come.
   *
   * @throws PaellaError `format` if a whole pass brings nothing, or ten of a share
   */
  examples(from?: DataPosition, options?: { repeat?: boolean; signal?: AbortSignal }): AsyncGenerator<Placed>;
  /**
   * The data set in natural order, cut where it can be read from without reading what comes before. A part that cannot be
   * read, or has nothing that is wanted, brings nothing.
   *
   * @param size items in a part, where the source doesn't say itself
   */
  parts(size: number): DatasetPart[];
}

export interface DatasetPart {
  /** Its items, wanted or not, null where only reading it would tell. */
  readonly length: number | null;
  examples(): AsyncIterable<Example>;
}

/** An example, and where it leaves the pass. */
interface Placed {
  example: Example;
  next: DataPosition;
}

const namesKept = 20;
/** Passes of a share that may bring nothing, all its items being of another split: others come to it in the next. */
const emptyShares = 10;

/**
 * Opens captioned pictures.
 *
 * @param source a folder of pictures, a folder of `.tar` shards, a shard, a pattern as `shard-{000..012}.tar`, or URLs
 *   of shards, several separated by spaces
 * @throws PaellaError `not-found` if there is nothing of the kind
 */
export async function openDataset(source: string, options: DataOptions): Promise<Dataset> {
  return new SeededDataset(await openSource(source), options);
}

/**
 * Opens pictures and what is said about them, before any is decoded.
 *
 * @param source as {@link openDataset} takes it
 * @throws PaellaError `not-found` if there is nothing of the kind, `argument` for a file that is no shard
 */
export async function openSource(source: string): Promise<Source> {
  const names = source.split(/\s+(?=https?:)/).flatMap(expandBraces);
  if (names.every((name) => /^https?:\/\//.test(name) || name.endsWith('.tar'))) {
    for (const name of names.filter((one) => !/^https?:/.test(one))) await mustExist(name);
    return openShards(names);
  }
  await mustExist(source);
  if (!(await stat(source)).isDirectory()) {
    throw new PaellaError('argument', `${source} is neither a folder nor a .tar shard`);
  }
  const shards = (await readdir(source)).filter((name) => name.endsWith('.tar')).sort();
  return shards.length > 0 ? openShards(shards.map((name) => join(source, name))) : openFolder(source);
}

async function mustExist(path: string): Promise<void> {
  if (await stat(path).catch(() => null)) return;
  throw new PaellaError('not-found', `there is no ${path}`, { fix: 'Name a folder, a .tar shard or a URL.' });
}

class SeededDataset implements Dataset {
  readonly skipped = { count: 0, names: [] as string[] };
  readonly #source: Source;
  readonly #options: DataOptions;
  readonly #share: Share;
  readonly #report = (name: string, why: string): void => this.#skip(name, why);
  /** Each counts once, however many passes meet it. */
  readonly #skipped = new Set<string>();
  /** Items that their weight left out of a pass. */
  #passedOver = 0;

  constructor(source: Source, options: DataOptions) {
    this.#source = source;
    this.#options = options;
    this.#share = options.share ?? whole;
  }

  get length(): number | null {
    return this.#source.length;
  }

  async *examples(
    from: DataPosition = { epoch: 0, index: 0 },
    { repeat = false, signal }: { repeat?: boolean; signal?: AbortSignal } = {},
  ): AsyncGenerator<Placed> {
    let { index } = from;
    let empty = 0;
    for (let { epoch } = from; ; epoch++) {
      let any = index > 0;
      const passedOver = this.#passedOver;
      for await (const one of this.#decoded(this.#items(epoch), epoch, index)) {
        if (signal?.aborted) return;
        any = true;
        yield one;
      }
      empty = any || this.#passedOver > passedOver ? 0 : empty + 1;
      if (empty === (this.#share.count > 1 ? emptyShares : 1)) {
        const why =
          this.skipped.count > 0 ? `; unreadable: ${this.skipped.names.slice(0, 5).join(', ')}` : '';
        throw new PaellaError('format', `the data set has no usable items${why}`);
      }
      if (!repeat) return;
      index = 0;
    }
  }

  parts(size: number): DatasetPart[] {
    return this.#source.parts(size).map((part, number) => ({
      length: part.length,
      examples: () => this.#examplesOf(part, number),
    }));
  }

  /** A part draws what the epoch of its number does. */
  async *#examplesOf(part: Part, number: number): AsyncGenerator<Example> {
    for await (const { example } of this.#decoded(this.#itemsOf(part), number, 0)) yield example;
  }

  async *#itemsOf(part: Part): AsyncGenerator<RawItem> {
    try {
      yield* part.items(this.#report);
    } catch (error) {
      this.#skip(part.names[0], reason(error));
    }
  }

  /** Examples of an epoch's items, from one on; pictures are decoded ahead, in order. */
  async *#decoded(items: AsyncIterable<RawItem>, epoch: number, start: number): AsyncGenerator<Placed> {
    const { prefetch = 8, seed } = this.#options;
    const { index: first, count } = this.#share;
    const pending: Promise<Placed | null>[] = [];
    let index = 0;
    for await (const item of items) {
      const own = index++;
      if (own < start) continue;
      // An item of a folder draws the same in whichever share it is, and no two items draw the same.
      const numbers = numbersOf(seed, epoch, FIRST_ITEM + own * count + first)(4);
      if (!this.#takes(item, numbers[0])) continue;
      const next = { epoch, index: own + 1 };
      pending.push(this.#decode(item, numbers).then((example) => example && { example, next }));
      if (pending.length <= prefetch) continue;
      const ready = await pending.shift();
      if (ready) yield ready;
    }
    for (const one of pending) {
      const ready = await one;
      if (ready) yield ready;
    }
  }

  #items(epoch: number): AsyncIterable<RawItem> {
    const { shuffle = true, shuffleBuffer: size = 1000, seed } = this.#options;
    if (!shuffle) return this.#source.pass(null, this.#report, this.#share);
    const items = this.#source.pass(numbersOf(seed, epoch, 0), this.#report, this.#share);
    return this.#source.isShuffled ? items : shuffleBuffer(items, size, buffered(seed, epoch));
  }

  #takes({ weight, split }: RawItem, number: number): boolean {
    const { split: wanted, ignoreWeights = false } = this.#options;
    if (wanted && split !== null && split !== wanted) return false;
    const isTaken = ignoreWeights || number < weight;
    if (!isTaken && weight > 0) this.#passedOver++;
    return isTaken;
  }

  async #decode(item: RawItem, numbers: Float32Array): Promise<Example | null> {
    const { size, resize = 'cover', crop = 'center', flip = false } = this.#options;
    const position = crop === 'random' ? { x: numbers[1], y: numbers[2] } : { x: 0.5, y: 0.5 };
    try {
      const mirrored = flip && numbers[3] < 0.5;
      const pixels = await decodePicture(await item.read(), { size, resize, position, flip: mirrored });
      const { key, captions, weight } = item;
      return { key, pixels, captions, weight };
    } catch (error) {
      this.#skip(item.key, reason(error));
      return null;
    }
  }

  #skip(name: string, why: string): void {
    if (this.#skipped.has(name)) return;
    this.#skipped.add(name);
    this.skipped.count++;
    if (this.skipped.names.length < namesKept) this.skipped.names.push(`${name} (${why})`);
  }
}

/** Streams of an epoch's generator: the order of shards or files, the buffer, and from here on one an item. */
const BUFFER = 1;
const FIRST_ITEM = 2;

/** A generator of an epoch at a stream; the next call goes on with the next stream. */
function numbersOf(seed: number, epoch: number, stream: number): (count: number) => Float32Array {
  const rng = new Rng(keyOf(seed, epoch), stream);
  return (count) => rng.uniformArray(count);
}

/** Seed and epoch as one number of 64 bits; what a large seed has above them comes in again below. */
function keyOf(seed: number, epoch: number): bigint {
  const wide = BigInt(seed) << 24n;
  return BigInt.asUintN(64, wide) ^ (wide >> 64n) ^ BigInt(epoch);
}

/** The buffer asks for one number at a time: they are drawn by the thousand. */
function buffered(seed: number, epoch: number): (count: number) => Float32Array {
  const rng = new Rng(keyOf(seed, epoch) ^ (1n << 63n), BUFFER);
  let numbers = new Float32Array(0);
  let used = 0;
  return (count) => {
    if (count > 1) return rng.uniformArray(count);
    if (used === numbers.length) {
      numbers = rng.uniformArray(1024);
      used = 0;
    }
    return numbers.subarray(used, ++used);
  };
}
