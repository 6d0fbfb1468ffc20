import { PaellaError } from '@paella/tensor';
import { packTar } from 'modern-tar';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type DataOptions,
  type DataPosition,
  type Dataset,
  type Example,
  openDataset,
} from '../src/data/dataset.js';
import { decodePicture } from '../src/data/decode.js';

const root = mkdtempSync(join(tmpdir(), 'paella-data-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Files = Record<string, Uint8Array | string>;
type Pixel = readonly number[];

let made = 0;

/** A new folder with these files. */
async function folderOf(files: Files): Promise<string> {
  const folder = join(root, `set-${made++}`);
  await mkdir(folder);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

const tarOf = (files: Files): Promise<Uint8Array> =>
  packTar(
    Object.entries(files).map(([name, content]) => {
      const body = typeof content === 'string' ? Buffer.from(content) : content;
      return { header: { name, size: body.length }, body };
    }),
  );

/** A PNG of one row of pixels a row of the picture, all rows equal, of 3 or 4 channels. */
function png(row: readonly Pixel[], height = row.length): Promise<Buffer> {
  const data = Uint8Array.from(Array.from({ length: height }, () => row).flat(2));
  const raw = { width: row.length, height, channels: row[0].length as 3 | 4 };
  return sharp(data, { raw }).png().toBuffer();
}

/** A 4×4 picture whose left half is one colour and whose right half another, so that mirroring shows. */
const halves = (i: number): Promise<Buffer> =>
  png([[i, 0, 0], [i, 0, 0], [0, 0, i], [0, 0, i]]); // prettier-ignore

/** `count` captioned pictures by name, in the form that both folders and shards take. */
async function captioned(count: number, start = 0): Promise<Files> {
  const files: Files = {};
  for (let i = start; i < start + count; i++) {
    const name = `p${String(i).padStart(3, '0')}`;
    files[`${name}.png`] = await halves(i + 1);
    files[`${name}.txt`] = `picture ${i}`;
  }
  return files;
}

const options: DataOptions = { size: 4, seed: 7 };

async function passOf(
  set: Dataset,
  from?: DataPosition,
): Promise<{ example: Example; next: DataPosition }[]> {
  const out = [];
  for await (const one of set.examples(from)) out.push(one);
  return out;
}

const keysOf = async (source: string, more: Partial<DataOptions> = {}, epoch = 0): Promise<string[]> =>
  (await passOf(await openDataset(source, { ...options, ...more }), { epoch, index: 0 })).map(
    ({ example }) => example.key,
  );

const captionsOf = async (source: string, more: Partial<DataOptions> = {}): Promise<string[][]> =>
  (await passOf(await openDataset(source, { ...options, shuffle: false, ...more }))).map(
    ({ example }) => example.captions,
  );

describe('captions', () => {
  it('come from the metadata.jsonl of every folder, and beside pictures that none lists', async () => {
    const picture = await halves(1);
    const source = await folderOf({
      'test/a.png': picture,
      'test/metadata.jsonl': '{"file_name": "a.png", "text": "a of test"}\n',
      'train/a.png': picture,
      'train/b.png': picture,
      'train/b.txt': 'b',
      'train/metadata.jsonl':
        '{"file_name": "a.png", "text": "a of train"}\n{"file_name": "c.png", "text": "lost"}\n',
    });
    expect(await captionsOf(source)).toEqual([['a of test'], ['a of train'], ['b']]);
    const set = await openDataset(source, options);
    await passOf(set);
    expect(set.skipped).toEqual({ count: 1, names: [expect.stringMatching(/^train\/c\.png .*not there/)] });
  });

  it('come from the members of a shard up to the first dot of their name', async () => {
    const picture = await halves(1);
    const source = await folderOf({
      's.tar': await tarOf({
        'v1.0/a.png': picture,
        'v1.0/a.json': '{"caption": "a"}',
        'v1.0/b.cls': '3',
        'v1.0/b.left.png': picture,
        'v1.0/c.txt': 'c',
        'v1.0/c.png': picture,
      }),
    });
    expect(await captionsOf(source)).toEqual([['a'], ['c']]);
    expect(await keysOf(source, { shuffle: false })).toEqual(['s.tar/v1.0/a', 's.tar/v1.0/c']);
  });
});

describe('order', () => {
  /** The same 60 pictures as a folder and as four shards. */
  const sources = (async () => {
    const files = await captioned(60);
    const names = Object.keys(files);
    const shards: Files = {};
    for (let i = 0; i < 4; i++) {
      const part = names.slice(i * 30, (i + 1) * 30);
      shards[`shard-00${i}.tar`] = await tarOf(Object.fromEntries(part.map((name) => [name, files[name]])));
    }
    return { folder: await folderOf(files), shards: await folderOf(shards) };
  })();

  it('is another one for every seed that the command line takes', async () => {
    const { folder } = await sources;
    const orders = await Promise.all(
      [0, 1, 2 ** 30, 2 ** 40, 2 ** 40 + 1, Number.MAX_SAFE_INTEGER].map((seed) => keysOf(folder, { seed })),
    );
    expect(new Set(orders.map((order) => order.join())).size).toBe(orders.length);
  });

  it('mirrors half of the pictures, others each epoch', async () => {
    const { folder } = await sources;
    const set = await openDataset(folder, { ...options, flip: true, shuffle: false });
    const mirrored = async (epoch: number): Promise<boolean[]> =>
      (await passOf(set, { epoch, index: 0 })).map(({ example }) => example.pixels[0] === 0);
    const [first, second] = [await mirrored(0), await mirrored(1)];
    for (const some of [first, second]) {
      const count = some.filter(Boolean).length;
      expect(count).toBeGreaterThan(15);
      expect(count).toBeLessThan(45);
    }
    expect(second).not.toEqual(first);
  });

  it('stops where a signal says so', async () => {
    const controller = new AbortController();
    const set = await openDataset((await sources).shards, options);
    let count = 0;
    for await (const _ of set.examples(undefined, { repeat: true, signal: controller.signal })) {
      if (++count === 70) controller.abort();
    }
    expect(count).toBe(70);
  });
});

describe('weights and splits', () => {
  it('take an item in its share of passes, and only of the split asked for', async () => {
    const picture = await halves(1);
    const files: Files = {};
    for (let i = 0; i < 40; i++) {
      files[`rare-${i}.png`] = picture;
      files[`rare-${i}.json`] = '{"caption": "rare", "weight": 0.25, "split": "train"}';
    }
    for (const split of ['train', 'test']) {
      files[`always-${split}.png`] = picture;
      files[`always-${split}.json`] = JSON.stringify({ caption: split, split });
    }
    const source = await folderOf(files);
    const seen = new Map<string, number>();
    let rare = 0;
    for (let epoch = 0; epoch < 20; epoch++) {
      const keys = await keysOf(source, { split: 'train' }, epoch);
      expect(keys).toContain('always-train.png');
      expect(keys).not.toContain('always-test.png');
      for (const key of keys) seen.set(key, (seen.get(key) ?? 0) + 1);
      rare += keys.length - 1;
    }
    expect(rare / (40 * 20)).toBeGreaterThan(0.2);
    expect(rare / (40 * 20)).toBeLessThan(0.3);
    expect(seen.size).toBeGreaterThan(38);
    expect(await keysOf(source, { split: 'test' })).toEqual(['always-test.png']);
  });

  it('may leave everything out of a pass', async () => {
    const source = await folderOf({
      'rare.png': await halves(1),
      'rare.json': '{"caption": "rare", "weight": 0.1}',
    });
    const set = await openDataset(source, options);
    for await (const { next } of set.examples(undefined, { repeat: true })) {
      if (next.epoch > 20) break;
    }
    expect(set.skipped.count).toBe(0);
    const everything = await openDataset(source, { ...options, ignoreWeights: true });
    expect(await passOf(everything)).toHaveLength(1);
  });
});

describe('damage', () => {
  it('is counted, named and skipped', async () => {
    const good = await halves(1);
    const files: Files = {
      'bad-json.png': good,
      'bad-json.json': '{"caption": ',
      'bad-list.png': good,
      'bad-list.json': 'null',
      'cut.png': good.subarray(0, good.length - 30),
      'empty.png': '',
      'good.png': good,
      'good.txt': 'good',
      'text.jpg': 'not a picture',
      'vector.svg': '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><g></svg>',
    };
    const bad = Object.keys(files).filter((name) => !/^good|json$/.test(name));
    for (const source of [await folderOf(files), await folderOf({ 'a.tar': await tarOf(files) })]) {
      const set = await openDataset(source, { ...options, shuffle: false });
      const pass = await passOf(set);
      expect(pass.map(({ example }) => example.captions)).toEqual([['good']]);
      expect(set.skipped.count).toBe(bad.length);
      for (const name of bad) {
        expect(set.skipped.names.some((one) => one.includes(name.replace(/\.\w+$/, '')))).toBe(true);
      }
      // The same items again are no more items.
      await passOf(set, { epoch: 1, index: 0 });
      expect(set.skipped.count).toBe(bad.length);
    }
  });

  it('of a shard costs its rest, not the other shards', async () => {
    const shards = [await tarOf(await captioned(8)), await tarOf(await captioned(8, 8))];
    const source = await folderOf({
      'a.tar': shards[0].subarray(0, 5000),
      'b.tar': 'this is no archive at all'.repeat(100),
      'c.tar': shards[1],
    });
    const set = await openDataset(source, { ...options, shuffle: false });
    const captions = (await passOf(set)).map(({ example }) => example.captions[0]);
    expect(captions).toContain('picture 0');
    expect(captions.slice(-8)).toEqual(Array.from({ length: 8 }, (_, i) => `picture ${i + 8}`));
    expect(set.skipped.names.map((name) => name.slice(0, 5))).toEqual(['a.tar', 'b.tar']);
  });

  it('of everything is an error that says so', async () => {
    const source = await folderOf({ 'a.png': 'x', 'b.png': 'y' });
    const set = await openDataset(source, options);
    await expect(passOf(set)).rejects.toThrow(/no usable items; unreadable: .*[ab]\.png/);
  });
});

describe('sources', () => {
  it('are shards behind URLs, a missing one among them', async () => {
    const shards = new Map([
      ['/s-0.tar', await tarOf(await captioned(3))],
      ['/s-1.tar', await tarOf(await captioned(3, 3))],
    ]);
    const server: Server = createServer((request, response) => {
      const body = shards.get(request.url ?? '');
      response.writeHead(body ? 200 : 404).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      expect((await captionsOf(`${base}/s-{0..1}.tar`)).flat()).toEqual(
        Array.from({ length: 6 }, (_, i) => `picture ${i}`),
      );
      expect((await captionsOf(`${base}/s-1.tar ${base}/s-0.tar`)).flat()[0]).toBe('picture 3');
      const set = await openDataset(`${base}/s-{1..2}.tar`, { ...options, shuffle: false });
      expect(await passOf(set)).toHaveLength(3);
      expect(set.skipped.names[0]).toMatch(/s-2\.tar.*404/);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('are refused with the reason', async () => {
    const empty = await folderOf({ 'notes.md': 'nothing' });
    for (const [source, code, message] of [
      [join(root, 'nowhere'), 'not-found', /nowhere/],
      [join(root, 'x-{0..3}.tar'), 'not-found', /x-0\.tar/],
      [join(root, 'x-{3..0}.tar'), 'argument', /rise/],
      [join(empty, 'notes.md'), 'argument', /neither a folder nor/],
      [empty, 'not-found', /neither pictures nor/],
    ] as const) {
      const error: unknown = await openDataset(source, options).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(PaellaError);
      expect((error as PaellaError).code).toBe(code);
      expect((error as PaellaError).message).toMatch(message);
    }
  });
});

describe('decodePicture', () => {
  const centre = { x: 0.5, y: 0.5 };
  const plain = { size: 4, resize: 'cover', position: centre, flip: false } as const;
  const pixel = (pixels: Uint8Array, x: number, y: number, size = 4): number[] => [
    ...pixels.subarray((y * size + x) * 3, (y * size + x) * 3 + 3),
  ];

  it('shows white through transparency, however it is stored', async () => {
    const clear = await png(
      Array.from({ length: 4 }, (_, i) => (i < 2 ? [10, 20, 30, 0] : [200, 0, 0, 127])),
    );
    const palette = await sharp(clear).png({ palette: true }).toBuffer();
    for (const file of [clear, palette, await sharp(clear).webp({ lossless: true }).toBuffer()]) {
      const pixels = await decodePicture(file, plain);
      expect(pixels).toHaveLength(48);
      expect(pixel(pixels, 0, 0)).toEqual([255, 255, 255]);
      expect(Math.abs(pixel(pixels, 3, 3)[0] - 228)).toBeLessThan(3);
      expect(Math.abs(pixel(pixels, 3, 3)[1] - 128)).toBeLessThan(3);
    }
  });

  it('reads grey, 16-bit, CMYK, vector and turned pictures', async () => {
    const grey = { width: 4, height: 4, channels: 1 as const };
    const bytes = new Uint8Array(16).fill(100);
    const kinds = {
      grey: await sharp(bytes, { raw: grey }).png().toBuffer(),
      deep: await sharp(bytes, { raw: grey }).toColourspace('grey16').png().toBuffer(),
      deepColour: await sharp(bytes, { raw: grey }).toColourspace('rgb16').png().toBuffer(),
      jpeg: await sharp(bytes, { raw: grey }).jpeg().toBuffer(),
      gif: await sharp(bytes, { raw: grey }).gif().toBuffer(),
      vector: Buffer.from(
        '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4" fill="#646464"/></svg>',
      ),
      cmyk: await sharp(bytes, { raw: grey }).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer(),
    };
    for (const [kind, file] of Object.entries(kinds)) {
      for (const resize of ['none', 'cover', 'contain'] as const) {
        const pixels = await decodePicture(file, { ...plain, resize });
        expect(pixels, `${kind} ${resize}`).toHaveLength(48);
        for (const value of pixels) expect(Math.abs(value - 100), `${kind} ${resize}`).toBeLessThan(20);
      }
    }
    // Orientation 6: the left half of what is stored is the upper half of what is seen.
    const turned = await sharp(await png([[255, 0, 0], [255, 0, 0], [0, 0, 255], [0, 0, 255]])) // prettier-ignore
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    const seen = await decodePicture(turned, plain);
    expect([pixel(seen, 0, 0), pixel(seen, 3, 3)]).toEqual([
      [255, 0, 0],
      [0, 0, 255],
    ]);
  });

  it('covers with the part asked for, contains on white, mirrors, and takes no other size with none', async () => {
    const row = Array.from({ length: 12 }, (_, i) =>
      i < 4 ? [255, 0, 0] : i < 8 ? [0, 255, 0] : [0, 0, 255],
    );
    const wide = await png(row, 4);
    const shown = async (x: number): Promise<number[]> =>
      pixel(await decodePicture(wide, { ...plain, position: { x, y: 0 } }), 1, 1);
    expect([await shown(0), await shown(0.5), await shown(0.999)]).toEqual([
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
    ]);
    const size = 12;
    const fitted = await decodePicture(wide, { ...plain, size, resize: 'contain' });
    expect([pixel(fitted, 1, 0, size), pixel(fitted, 1, 6, size), pixel(fitted, 1, 11, size)]).toEqual([
      [255, 255, 255],
      [255, 0, 0],
      [255, 255, 255],
    ]);
    const mirrored = await decodePicture(wide, { ...plain, size, resize: 'contain', flip: true });
    expect(pixel(mirrored, 1, 6, size)).toEqual([0, 0, 255]);
    await expect(decodePicture(wide, { ...plain, resize: 'none' })).rejects.toThrow(/12×4 pixels, not 4×4/);
  });
});
