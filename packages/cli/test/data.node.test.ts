import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packTar } from 'modern-tar';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DataOptions, type DataPosition, openDataset } from '../src/data/dataset.js';

const root = mkdtempSync(join(tmpdir(), 'paella-data-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A PNG of one colour. */
const png = (width: number, height: number, rgb: number[], alpha = 1): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 4, background: { r: rgb[0], g: rgb[1], b: rgb[2], alpha } } })
    .png()
    .toBuffer();

const base: DataOptions = { size: 8, seed: 3, shuffleBuffer: 4 };

async function take(source: string, options: Partial<DataOptions>, from?: DataPosition, count = Infinity) {
  const dataset = await openDataset(source, { ...base, ...options });
  const seen: { key: string; captions: string[]; pixels: Uint8Array; next: DataPosition }[] = [];
  for await (const { example, next } of dataset.examples(from, { repeat: count < Infinity })) {
    seen.push({ ...example, next });
    if (seen.length === count) break;
  }
  return { seen, dataset };
}

const folder = join(root, 'folder');
const shards = join(root, 'shards');

beforeAll(async () => {
  mkdirSync(join(folder, 'more'), { recursive: true });
  mkdirSync(shards);
  for (let i = 0; i < 12; i++) {
    const file = join(folder, i < 9 ? `p${i}` : join('more', `p${i}`));
    writeFileSync(`${file}.png`, await png(8 + i, 8, [20 * i, 0, 0]));
    if (i % 2) writeFileSync(`${file}.txt`, `picture ${i}\nsecond caption\n`);
    else writeFileSync(`${file}.json`, JSON.stringify({ text: `picture ${i}`, tags: ['a', 'b'] }));
  }
  writeFileSync(join(folder, 'broken.png'), 'this is no picture');
  for (let shard = 0; shard < 3; shard++) {
    const entries = [];
    for (let i = 0; i < 7; i++) {
      const key = `${shard}${i}`;
      const picture = await png(8, 8, [0, 30 * i, 80 * shard]);
      const text = Buffer.from(JSON.stringify({ caption: `item ${key}`, weight: i === 6 ? 0.5 : 1 }));
      entries.push({ header: { name: `${key}.png`, size: picture.length }, body: new Uint8Array(picture) });
      entries.push({ header: { name: `${key}.json`, size: text.length }, body: new Uint8Array(text) });
    }
    writeFileSync(join(shards, `s-${shard}.tar`), await packTar(entries));
  }
});

describe('captioned pictures', () => {
  it('come from a folder with their captions; what is broken is counted and named', async () => {
    const { seen, dataset } = await take(folder, { shuffle: false });
    expect(seen.map(({ key }) => key)).toHaveLength(12);
    expect(dataset.length).toBe(13);
    expect(seen.find(({ key }) => key === 'p1.png')!.captions).toEqual(['picture 1', 'second caption']);
    expect(seen.find(({ key }) => key === 'more/p10.png')!.captions).toEqual(['picture 10', 'a, b']);
    expect(dataset.skipped.count).toBe(1);
    expect(dataset.skipped.names[0]).toMatch(/^broken\.png \(.+\)$/);
  });

  it("come with Hugging Face's metadata.jsonl", async () => {
    const own = join(root, 'imagefolder');
    mkdirSync(own);
    writeFileSync(join(own, 'x.png'), await png(8, 8, [1, 2, 3]));
    writeFileSync(join(own, 'metadata.jsonl'), '{"file_name":"x.png","text":"an x"}\n');
    expect((await take(own, {})).seen[0].captions).toEqual(['an x']);
    writeFileSync(join(own, 'metadata.jsonl'), '{"file_name":"x.png","text":"an x"}\n{"text":"no name"}\n');
    await expect(take(own, {})).rejects.toThrow(/line 2.*file_name/);
  });

  it('come from shards: a folder of them, a pattern, a server', async () => {
    const names = (await take(shards, { shuffle: false })).seen.map(({ captions }) => captions[0]);
    expect(names.filter((name) => !name.endsWith('6'))).toHaveLength(18);
    const pattern = (await take(join(shards, 's-{0..2}.tar'), { shuffle: false })).seen;
    expect(pattern.map(({ captions }) => captions[0])).toEqual(names);
    const server = createServer((request, response) =>
      response.end(readFileSync(join(shards, request.url!))),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const served = await take(`http://127.0.0.1:${port}/s-{0..2}.tar`, { shuffle: false });
    expect(served.seen.map(({ captions }) => captions[0])).toEqual(names);
    server.close();
  });

  it.each(['folder', 'shards'])('go on from any position as if never interrupted: %s', async (kind) => {
    const source = join(root, kind);
    const options = { crop: 'random', flip: true } as const;
    const { seen } = await take(source, options, undefined, 50);
    expect((await take(source, options, undefined, 50)).seen).toEqual(seen);
    expect((await take(source, { ...options, seed: 4 }, undefined, 50)).seen).not.toEqual(seen);
    for (const at of [0, 5, 17, 30]) {
      expect((await take(source, options, seen[at].next, 12)).seen).toEqual(seen.slice(at + 1, at + 13));
    }
    const orders = [0, 1].map((epoch) =>
      seen.filter(({ next }) => next.epoch === epoch).map(({ key }) => key),
    );
    expect(orders[0]).not.toEqual(orders[1]);
    expect(new Set(orders[0]).size).toBe(orders[0].length);
  });

  it.each([
    ['folder', 3],
    ['folder', 20],
    ['shards', 2],
    ['shards', 3],
    ['shards', 4],
  ])('are shared out: a pass over %s, by %i', async (kind, count) => {
    const source = join(root, kind);
    const pixels = (seen: { key: string; pixels: Uint8Array }[]) =>
      seen.map(({ key, pixels: some }) => `${key} ${some.join()}`);
    for (const epoch of [0, 1]) {
      const from = { epoch, index: 0 };
      const options = { crop: 'random', flip: true, ignoreWeights: true } as const;
      const { seen: all } = await take(source, options, from);
      const shares = [];
      for (let index = 0; index < count; index++) {
        shares.push((await take(source, { ...options, share: { index, count } }, from)).seen);
      }
      const keys = shares.flatMap((seen) => seen.map(({ key }) => key));
      expect(keys.sort()).toEqual(all.map(({ key }) => key).sort());
      // Out of a folder, also as one process sees them.
      if (kind === 'folder') expect(shares.flatMap(pixels).sort()).toEqual(pixels(all).sort());
      const shardsOf = shares.map((seen) => new Set(seen.map(({ key }) => key.split('/')[0])).size);
      if (kind === 'shards') expect(shardsOf).toEqual({ 2: [2, 1], 3: [1, 1, 1], 4: [3, 3, 3, 3] }[count]);
    }
  });

  it('come to a share in another pass, where it has none of the split', async () => {
    const own = join(root, 'split-by-shard');
    mkdirSync(own);
    for (const split of ['train', 'test']) {
      const picture = await png(8, 8, [0, 0, 0]);
      const text = Buffer.from(JSON.stringify({ split }));
      const entries = [
        { header: { name: `${split}.png`, size: picture.length }, body: new Uint8Array(picture) },
        { header: { name: `${split}.json`, size: text.length }, body: new Uint8Array(text) },
      ];
      writeFileSync(join(own, `${split}.tar`), await packTar(entries));
    }
    for (const index of [0, 1]) {
      const share = { index, count: 2 };
      const { seen } = await take(own, { split: 'train', share }, undefined, 20);
      expect(new Set(seen.map(({ key }) => key))).toEqual(new Set(['train.tar/train']));
      await expect(take(own, { split: 'val', share }, undefined, 1)).rejects.toThrow(/no usable items/);
    }
  });

  it('are taken as often as their weight says', async () => {
    const { seen } = await take(shards, {}, undefined, 1000);
    const share = seen.filter(({ captions }) => captions[0].endsWith('6')).length / 1000;
    // 3 of 21 items at half weight: 1.5 of 19.5.
    expect(share).toBeGreaterThan(0.05);
    expect(share).toBeLessThan(0.105);
  });

  it('are cut to squares, mirrored, and put on white', async () => {
    const own = join(root, 'shapes');
    mkdirSync(own);
    const left = await png(8, 8, [255, 0, 0]);
    const wide = sharp({ create: { width: 16, height: 8, channels: 3, background: { r: 0, g: 0, b: 255 } } });
    writeFileSync(
      join(own, 'a.png'),
      await wide
        .composite([{ input: left, left: 0, top: 0 }])
        .png()
        .toBuffer(),
    );
    writeFileSync(join(own, 'b.png'), await png(8, 8, [0, 0, 0], 0));
    const [a, b] = (await take(own, { shuffle: false })).seen;
    expect([...a.pixels.subarray(0, 3)]).toEqual([255, 0, 0]);
    expect([...a.pixels.subarray(21, 24)]).toEqual([0, 0, 255]);
    expect(new Set(b.pixels)).toEqual(new Set([255]));
    const contained = (await take(own, { shuffle: false, resize: 'contain' })).seen[0].pixels;
    expect([...contained.subarray(0, 3)]).toEqual([255, 255, 255]);
    const { seen, dataset } = await take(own, { shuffle: false, resize: 'none' });
    expect(seen).toHaveLength(1);
    expect(dataset.skipped.names[0]).toMatch(/16×8/);
  });

  it('are missed with a clear error', async () => {
    await expect(openDataset(join(root, 'nowhere'), base)).rejects.toThrow(/there is no/);
    mkdirSync(join(root, 'empty'));
    await expect(openDataset(join(root, 'empty'), base)).rejects.toThrow(/neither pictures nor/);
    writeFileSync(join(root, 'bad.tar'), 'no tar at all, but long enough to look at'.repeat(40));
    await expect(take(join(root, 'bad.tar'), {})).rejects.toThrow(/no usable items.*bad\.tar/);
  });
});
