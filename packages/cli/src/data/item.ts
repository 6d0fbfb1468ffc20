/** What the readers of image folders and of tar shards have in common. */
import { PaellaError } from '@paella/tensor';
import type { Share } from './order.js';

/** An item before its picture is decoded. */
export interface RawItem {
  /** Name in its source, unique. */
  key: string;
  captions: string[];
  /** The share of passes that take the item. */
  weight: number;
  /** `train`, `test`, …, where the source says so. */
  split: string | null;
  /** The picture file. */
  read(): Promise<Uint8Array>;
}

/** Where items come from. */
export interface Source {
  /** How many there are, if that is known without reading everything. */
  readonly length: number | null;
  /** Whether `pass` itself brings the items in random order; else a buffer shuffles them. */
  readonly isShuffled: boolean;
  /**
   * All items once, or a share of them: the passes of all shares have every item once.
   *
   * @param random numbers in [0,1) that order the pass; null for the natural order
   * @param report called with the name and the trouble of what cannot be read
   */
  pass(
    random: ((count: number) => Float32Array) | null,
    report: Report,
    share?: Share,
  ): AsyncIterable<RawItem>;
  /**
   * The source in natural order, cut where it can be read from without reading what comes before.
   *
   * @param size pictures in a part, where the source doesn't say itself
   */
  parts(size: number): Part[];
}

/** A piece of a source that can be read alone. */
export interface Part {
  /** What it reads: a shard, or the pictures of a folder. Their names tell one source from another. */
  readonly names: readonly string[];
  /** How many items it has, if that is known without reading it. */
  readonly length: number | null;
  /**
   * Its items in natural order. What is wrong with one of them shows when it is read, so that it keeps its place.
   *
   * @throws if it cannot be read now, but perhaps another time
   */
  items(report: Report): AsyncIterable<RawItem>;
}

export type Report = (name: string, reason: string) => void;

/** An item that cannot be read, in its place among the others. */
export const unreadable = (key: string, error: unknown): RawItem => ({
  key,
  captions: [],
  weight: 1,
  split: null,
  read: () => Promise.reject(error instanceof Error ? error : new Error(String(error))),
});

export const imageExtensions = ['.png', '.jpg', '.jpeg', '.webp', '.gif', '.avif', '.tif', '.tiff', '.svg'];

/** What a text or JSON file beside a picture says about it. */
export interface Description {
  captions: string[];
  weight: number;
  split: string | null;
}

/**
 * Reads a caption file: `.txt`, one caption a line, or `.json` with `caption` or `text`, and perhaps `captions`, `tags`,
 * `weight` and `split`.
 *
 * @throws PaellaError `format` if JSON is damaged or no object
 */
export function parseDescription(name: string, content: string): Description {
  if (!name.endsWith('.json')) {
    const captions = content.split(/\r?\n/).map((line) => line.trim());
    return { captions: captions.filter(Boolean), weight: 1, split: null };
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch (cause) {
    throw new PaellaError('format', `${name} is not JSON`, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null)
    throw new PaellaError('format', `${name} holds no object`);
  return describe(parsed as Record<string, unknown>);
}

/** What an object of metadata says; unknown entries are passed over. */
export function describe(entry: Record<string, unknown>): Description {
  const texts = (value: unknown): string[] =>
    (Array.isArray(value) ? value : [value]).filter(
      (one): one is string => typeof one === 'string' && one !== '',
    );
  const main = [...texts(entry.caption), ...texts(entry.text)].slice(0, 1);
  const tags = texts(entry.tags);
  const weight = typeof entry.weight === 'number' && entry.weight >= 0 ? entry.weight : 1;
  const all = [...main, ...texts(entry.captions), ...(tags.length > 0 ? [tags.join(', ')] : [])];
  return { captions: [...new Set(all)], weight, split: typeof entry.split === 'string' ? entry.split : null };
}
