/** WebDataset shards, and beside them whose pictures they hold and how many. */
import { PaellaError } from '@paella/tensor';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { type Member, tarOf } from '../data/tar.js';
import { writeResult } from '../files.js';

/** What an item's JSON says. */
export interface ItemDescription {
  /** The main one first. */
  captions: string[];
  tags: string[];
  source: string;
  licence: string;
  /** What data is split by. */
  concept: string;
  /** The share of passes that the item is seen in. */
  weight: number;
  split: 'train' | 'test';
}

/** A picture as PNG, and what is said of it. */
export interface Item {
  png: Uint8Array;
  description: ItemDescription;
}

export interface Credit {
  package: string;
  version: string;
  licence: string;
  credit: string;
}

export interface Written {
  shards: string[];
  images: number;
  bySource: Record<string, number>;
  bySplit: Record<string, number>;
}

/** RGB, row by row, as PNG. */
export const encodePng = (pixels: Uint8Array, size: number): Promise<Uint8Array> =>
  sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer();

/** Gathers items into shards; a shard appears when it is complete. */
export class ShardWriter {
  readonly #out: string;
  readonly #shardSize: number;
  readonly #shards: string[] = [];
  readonly #bySource: Record<string, number> = {};
  readonly #bySplit: Record<string, number> = {};
  #members: Member[] = [];
  #count = 0;

  /** @throws PaellaError `argument` if the folder holds shards already */
  constructor(out: string, shardSize: number) {
    this.#out = out;
    this.#shardSize = shardSize;
    mkdirSync(out, { recursive: true });
    if (readdirSync(out).some((name) => name.endsWith('.tar'))) {
      throw new PaellaError('argument', `${out} already holds shards`, { fix: 'Name an empty folder.' });
    }
  }

  async add({ png, description }: Item): Promise<void> {
    const key = String(this.#count++).padStart(6, '0');
    const json = Buffer.from(JSON.stringify({ caption: description.captions[0], ...description }));
    this.#members.push([`${key}.png`, png], [`${key}.json`, json]);
    const { source, split } = description;
    this.#bySource[source] = (this.#bySource[source] ?? 0) + 1;
    this.#bySplit[split] = (this.#bySplit[split] ?? 0) + 1;
    if (this.#members.length >= 2 * this.#shardSize) await this.#write();
  }

  /** Writes the last shard, the notice, and `dataset.json`, which says that all is there. */
  async finish(credits: readonly Credit[], settings: object): Promise<Written> {
    if (this.#members.length > 0) await this.#write();
    const lines = credits.map((one) => `- ${one.credit}: ${one.licence} (npm ${one.package} ${one.version})`);
    const notice = `The pictures and names of this data set come from:\n\n${lines.join('\n')}\n`;
    writeResult(join(this.#out, 'NOTICE'), notice);
    const counts = {
      images: this.#count,
      bySource: this.#bySource,
      bySplit: this.#bySplit,
    };
    const summary = { shards: this.#shards, ...counts, ...settings };
    writeResult(join(this.#out, 'dataset.json'), `${JSON.stringify(summary, null, 2)}\n`);
    return { shards: this.#shards.map((name) => join(this.#out, name)), ...counts };
  }

  /** Takes back what was written. */
  discard(): void {
    for (const name of this.#shards) rmSync(join(this.#out, name), { force: true });
  }

  async #write(): Promise<void> {
    const name = `emoji-${String(this.#shards.length).padStart(5, '0')}.tar`;
    writeResult(join(this.#out, name), await tarOf(this.#members));
    this.#shards.push(name);
    this.#members = [];
  }
}
