/** WebDataset: tar files whose neighbouring members of one name are a picture and what is said about it. */
import { PaellaError } from '@paella/tensor';
import { createTarDecoder } from 'modern-tar';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { type RawItem, type Source, imageExtensions, parseDescription, unreadable } from './item.js';
import { isOf, shuffle, whole } from './order.js';

const isUrl = (shard: string): boolean => /^https?:\/\//.test(shard);

/** `shard-{000..012}.tar` → thirteen names; anything else stays as it is. */
export function expandBraces(pattern: string): string[] {
  const match = /^(.*)\{(\d+)\.\.(\d+)\}(.*)$/.exec(pattern);
  if (!match) return [pattern];
  const [, before, first, last, after] = match;
  const count = Number(last) - Number(first) + 1;
  if (count < 1) throw new PaellaError('argument', `${pattern}: the numbers in braces must rise`);
  return Array.from(
    { length: count },
    (_, i) => `${before}${String(Number(first) + i).padStart(first.length, '0')}${after}`,
  );
}

/** Shards are read in random order, and each from its start to its end. */
export function openShards(shards: readonly string[]): Source {
  return {
    length: null,
    isShuffled: false,
    async *pass(random, report, share = whole) {
      const order = random ? shuffle(shards, random) : shards;
      // A process reads nothing but its shards, unless there are too few: then all read all, and share the items.
      const areEnough = shards.length >= share.count;
      let count = 0;
      for (const [place, shard] of order.entries()) {
        if (areEnough && !isOf(share, place)) continue;
        try {
          for await (const item of readShard(shard)) if (areEnough || isOf(share, count++)) yield item;
        } catch (error) {
          // The rest of a damaged shard is lost, the other shards are not.
          report(basename(shard), error instanceof Error ? error.message : String(error));
        }
      }
    },
    parts: () =>
      shards.map((shard) => ({
        names: [basename(shard)],
        length: null,
        // A file that is damaged stays so, a server may answer the next time.
        items: (report) => (isUrl(shard) ? readShard(shard) : openShards([shard]).pass(null, report)),
      })),
  };
}

async function* readShard(shard: string): AsyncGenerator<RawItem> {
  let key = '';
  let members = new Map<string, Uint8Array>();
  const finish = (): RawItem | null => {
    const own = members;
    const name = `${basename(shard)}/${key}`;
    members = new Map();
    const picture = [...own.keys()].find((extension) => imageExtensions.includes(extension));
    if (!picture) return null;
    try {
      const text = ['.json', '.txt'].find((extension) => own.has(extension));
      const description = text
        ? parseDescription(`${name}${text}`, new TextDecoder().decode(own.get(text)))
        : { captions: [], weight: 1, split: null };
      return { key: name, ...description, read: () => Promise.resolve(own.get(picture)!) };
    } catch (error) {
      return unreadable(name, error);
    }
  };
  for await (const { header, body } of await openTar(shard)) {
    if (header.type !== 'file' && header.type !== undefined) {
      await body.cancel();
      continue;
    }
    const slash = header.name.lastIndexOf('/') + 1;
    const dot = header.name.indexOf('.', slash);
    const stem = dot < 0 ? header.name : header.name.slice(0, dot);
    if (stem !== key && members.size > 0) {
      const item = finish();
      if (item) yield item;
    }
    key = stem;
    members.set(dot < 0 ? '' : header.name.slice(dot).toLowerCase(), await readAll(body));
  }
  const last = members.size > 0 ? finish() : null;
  if (last) yield last;
}

async function openTar(shard: string) {
  let bytes: ReadableStream<Uint8Array>;
  if (isUrl(shard)) {
    const response = await fetch(shard);
    if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
    bytes = response.body;
  } else {
    bytes = Readable.toWeb(createReadStream(shard)) as ReadableStream<Uint8Array>;
  }
  return bytes.pipeThrough(createTarDecoder({ strict: true })) as AsyncIterable<{
    header: { name: string; type?: string };
    body: ReadableStream<Uint8Array>;
  }>;
}

async function readAll(body: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(body as BodyInit).arrayBuffer());
}
