import { unpackTar } from 'modern-tar';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openDataset } from '../src/data/dataset.js';
import { type EmojiOptions, type EmojiSummary, buildEmojiSet } from '../src/emoji/build.js';
import { captionsOf, inSentence, withArticle } from '../src/emoji/captions.js';
import type { Concept } from '../src/emoji/concepts.js';
import type { ItemDescription } from '../src/emoji/write.js';
import { runCommandLine } from '../src/program.js';

const root = mkdtempSync(join(tmpdir(), 'paella-emoji-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const packages = join(root, 'packages');
const shape = (color: string, more = ''): { body: string } => ({
  body: `<circle cx="8" cy="8" r="7" fill="${color}"/>${more}`,
});

/** Animals that come with every source; more than enough that some are held out. */
const animals = Array.from(
  { length: 80 },
  (_, i) => `animal ${String.fromCodePoint(97 + (i % 26))}${'x'.repeat(i / 26)}`,
);
const codeOf = (i: number): string => (0x1f400 + i).toString(16);

/** A folder of packages as npm would leave them, with a few drawings. */
beforeAll(() => {
  const write = (path: string, content: object | string): void => {
    const file = join(packages, 'node_modules', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  };
  const collection = (name: string, icons: object, chars: object): void => {
    write(`@iconify-json/${name}/package.json`, {});
    write(`@iconify-json/${name}/icons.json`, { width: 16, height: 16, icons });
    write(`@iconify-json/${name}/chars.json`, chars);
  };
  const zoo = Object.fromEntries(
    animals.map((name, i) => [name.replace(' ', '-'), shape(`rgb(${i * 3},80,9)`)]),
  );
  const codes = Object.fromEntries(animals.map((name, i) => [codeOf(i), name.replace(' ', '-')]));
  collection(
    'twemoji',
    {
      fox: shape('orange'),
      'fox-again': shape('orange'),
      'waving-hand': shape('gold'),
      damaged: { body: '<g' },
      nothing: { body: '' },
      secret: { ...shape('red'), hidden: true },
    },
    { '1f98a': 'fox', '1f44b-1f3fb': 'waving-hand' },
  );
  collection('noto', zoo, codes);
  collection('circle-flags', { de: shape('black'), qq: shape('red'), uk: shape('navy') }, {});
  write('@iconify-json/game-icons/package.json', {});
  write('@iconify-json/game-icons/icons.json', {
    width: 16,
    height: 16,
    icons: {
      'dragon-head': { body: '<path fill="currentColor" d="M2 2h12v12H2z"/>' },
      'abstract-001': shape('red'),
    },
  });
  write('emojibase-data/package.json', {});
  write('emojibase-data/en/data.json', [
    { hexcode: '1F98A', label: 'fox', emoji: '🦊', tags: ['face'], group: 3 },
    {
      hexcode: '1F44B',
      label: 'waving hand',
      group: 1,
      skins: [{ hexcode: '1F44B-1F3FB', label: 'waving hand: light skin tone' }],
    },
    ...animals.map((label, i) => ({ hexcode: codeOf(i).toUpperCase(), label, group: 3 })),
  ]);
  write('emojibase-data/en/messages.json', { groups: [{ order: 3, message: 'animals & nature' }] });
  write('emojilib/package.json', {});
  write('emojilib/dist/emoji-en-US.json', { '🦊': ['clever_animal'] });
});

let sets = 0;

function build(options: Partial<EmojiOptions>): Promise<EmojiSummary> {
  return buildEmojiSet({
    out: join(root, `set-${sets++}`),
    size: 16,
    sources: ['twemoji'],
    packages,
    compose: 0,
    avatars: 0,
    limit: Infinity,
    shardSize: 100,
    seed: 1,
    note: () => {},
    progress: () => {},
    checkInterrupt: () => {},
    ...options,
  });
}

/** All that shards say, in their order. */
async function read({
  shards,
}: EmojiSummary): Promise<(ItemDescription & { caption: string; png: Uint8Array })[]> {
  const items = [];
  for (const shard of shards) {
    const entries = await unpackTar(readFileSync(shard));
    for (let i = 0; i < entries.length; i += 2) {
      const description = JSON.parse(Buffer.from(entries[i + 1].data!).toString()) as ItemDescription;
      items.push({ ...description, caption: description.captions[0], png: entries[i].data! });
    }
  }
  return items;
}

describe('the emoji set', () => {
  it('says of every drawing what it is, in what style, whose, and how often to take it', async () => {
    const summary = await build({ sources: ['twemoji', 'circle-flags'] });
    expect(summary).toMatchObject({
      images: 4,
      bySource: { twemoji: 2, 'circle-flags': 2 },
      left: { unreadable: 1, equal: 1, blank: 1 },
    });
    const items = new Map((await read(summary)).map((item) => [item.caption, item]));
    expect(items.get('fox, flat emoji')).toMatchObject({
      captions: ['fox, flat emoji', 'fox', 'a fox', 'a flat emoji of a fox', 'fox again, flat emoji'],
      tags: ['face', 'clever animal'],
      source: 'twemoji',
      licence: 'CC-BY-4.0',
      concept: '1f98a',
      weight: 1,
    });
    expect(items.get('waving hand: light skin tone, flat emoji')).toMatchObject({
      concept: '1f44b',
      weight: 0.15,
    });
    expect(items.get('flag: Germany, round flag icon')).toMatchObject({
      captions: ['flag: Germany, round flag icon', 'flag: Germany', 'flag of Germany'],
      weight: 0.3,
    });
  });

  it('is the same to the byte for equal seeds, and another for others', async () => {
    const options = { sources: ['noto', 'twemoji'], compose: 30, shardSize: 25 };
    const bytes = ({ shards }: EmojiSummary): string =>
      shards.map((shard) => readFileSync(shard).toString('latin1')).join('');
    const first = await build(options);
    expect(first.shards.length).toBe(Math.ceil(first.images / 25));
    expect(bytes(await build(options))).toBe(bytes(first));
    expect(bytes(await build({ ...options, seed: 2 }))).not.toBe(bytes(first));
  });

  it('mixes its sources in every shard, and leaves nothing but shards, notice and summary', async () => {
    const summary = await build({ sources: ['noto', 'twemoji'], compose: 60, shardSize: 50 });
    const halves = (await read(summary)).map(({ source }) => source);
    expect(new Set(halves.slice(0, 50))).toContain('scenes');
    expect(new Set(halves.slice(0, 50))).toContain('noto');
    const folder = dirname(summary.shards[0]);
    expect(readdirSync(folder).sort()).toEqual([
      'NOTICE',
      'dataset.json',
      ...summary.shards.map((s) => s.slice(-15)),
    ]);
    const notice = readFileSync(join(folder, 'NOTICE'), 'utf8');
    for (const words of [/Noto.*Apache-2\.0/, /Twemoji.*CC-BY-4\.0/, /game-icons.*CC-BY-3\.0/, /CLDR/]) {
      expect(notice).toMatch(words);
    }
    expect(JSON.parse(readFileSync(join(folder, 'dataset.json'), 'utf8'))).toMatchObject({
      images: summary.images,
      size: 16,
      seed: 1,
      bySplit: summary.bySplit,
    });
  });

  it('holds concepts out, also from the scenes that are trained on', async () => {
    const items = await read(await build({ sources: ['noto'], compose: 150 }));
    const heldOut = items.filter(({ source, split }) => source === 'noto' && split === 'test');
    const names = heldOut.map(({ captions }) => captions[1]);
    expect(names.length).toBeGreaterThan(0);
    const scenes = items.filter(({ source }) => source === 'scenes');
    expect(scenes.length).toBeGreaterThan(140);
    for (const { tags } of scenes) expect(names).not.toContain(tags[0]);
    for (const { captions } of scenes) expect(captions.join()).not.toContain('abstract');
    expect(scenes.some(({ caption }) => /silhouette of dragon head/.test(caption))).toBe(true);
    expect(scenes.some(({ caption }) => / above | next to /.test(caption))).toBe(true);
    expect(scenes.some(({ caption }) => / on an? \w+ background$/.test(caption))).toBe(true);
    // Scenes of permissive drawings and silhouettes alone.
    expect(new Set(scenes.map(({ licence }) => licence))).toEqual(new Set(['Apache-2.0', 'CC-BY-3.0']));
  });

  it('draws what the caption of a scene says', async () => {
    const items = await read(await build({ sources: ['noto'], compose: 150 }));
    const colours = { red: [226, 60, 50], blue: [60, 120, 220], yellow: [252, 215, 70], black: [20, 20, 24] };
    let looked = 0;
    for (const { caption, png } of items) {
      const name = /^animal \w+ on an? (\w+) background$/.exec(caption)?.[1];
      if (!name || !(name in colours)) continue;
      looked++;
      const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
      expect(info).toMatchObject({ width: 16, height: 16, channels: 3 });
      const corners = [0, 15, 240, 255].map((at) => [...data.subarray(at * 3, at * 3 + 3)].join());
      expect(corners).toContain(colours[name as keyof typeof colours].join());
    }
    expect(looked).toBeGreaterThan(3);
  });

  it('is read by openDataset', async () => {
    const { shards, bySplit } = await build({ sources: ['noto', 'twemoji'] });
    const options = { size: 16, seed: 1, ignoreWeights: true };
    for (const split of ['train', 'test']) {
      const set = await openDataset(dirname(shards[0]), { ...options, split });
      let count = 0;
      for await (const { example } of set.examples()) {
        count++;
        expect(example.captions.length).toBeGreaterThan(0);
      }
      expect(count).toBe(bySplit[split]);
      expect(set.skipped.count).toBe(0);
    }
  });

  it('takes only permissive licences, and a few of each source, where asked to', async () => {
    const sources = ['noto', 'twemoji'];
    const { bySource, shards } = await build({ sources, strictLicences: true, compose: 20, limit: 30 });
    expect(bySource).toEqual({ noto: 30, scenes: 20 });
    expect(readFileSync(join(dirname(shards[0]), 'NOTICE'), 'utf8')).not.toMatch(/CC-BY/);
    await expect(build({ strictLicences: true })).rejects.toThrow(/twemoji has a permissive licence/);
  });

  it('refuses what it cannot build, and takes back what it has begun', async () => {
    await expect(build({ sources: ['apple'] })).rejects.toThrow(/no picture source 'apple'.*twemoji/);
    await expect(build({ sources: ['noto-v1'] })).rejects.toThrow(
      /lacks @iconify-json\/noto-v1.*npm install .*@iconify-json\/noto-v1@\d/,
    );
    const out = join(root, 'again');
    await build({ out });
    await expect(build({ out })).rejects.toThrow(/already holds shards/);
    let asked = 0;
    const stopped = join(root, 'stopped');
    const checkInterrupt = (): void => {
      if (++asked > 60) throw new Error('stopped');
    };
    await expect(build({ out: stopped, sources: ['noto'], shardSize: 10, checkInterrupt })).rejects.toThrow(
      'stopped',
    );
    expect(readdirSync(stopped)).toEqual([]);
  });

  it('is what `paella dataset emoji` builds', async () => {
    const out = join(root, 'command');
    const said: string[] = [];
    const stdout = vi
      .spyOn(process.stdout, 'write')
      .mockImplementation((text) => said.push(String(text)) > 0);
    try {
      const args = `dataset emoji --out ${out} --packages ${packages} --sources twemoji --size 16`.split(' ');
      expect(
        await runCommandLine([...args, '--compose', '2', '--avatars', '0', '--json', '--quiet'], '0'),
      ).toBe(0);
    } finally {
      stdout.mockRestore();
    }
    const { shards, images } = JSON.parse(said.join('')) as EmojiSummary;
    expect(shards).toEqual([join(out, 'emoji-00000.tar')]);
    expect(images).toBe(4);
  });
});

describe('captions', () => {
  const concept = (name: string, group = 'food & drink'): Concept => ({
    name,
    group,
    tags: [],
    base: name,
    isVariant: false,
  });

  it('have articles where one thing is meant', () => {
    expect(['apple', 'unicorn', 'euro', 'umbrella', 'owl'].map(withArticle)).toEqual([
      'an apple',
      'a unicorn',
      'a euro',
      'an umbrella',
      'an owl',
    ]);
    expect(inSentence(concept('red apple'))).toBe('a red apple');
    expect(inSentence(concept('cactus'))).toBe('a cactus');
    expect(inSentence(concept('glass of milk'))).toBe('glass of milk');
    for (const name of ['grapes', 'bread', 'bow and arrow', 'one o’clock', 'family: man']) {
      expect(inSentence(concept(name))).toBe(name);
    }
    expect(inSentence(concept('angry face', 'smileys & emotion'))).toBe('angry face');
  });

  it('name each picture once in every way', () => {
    expect(captionsOf(concept('bread'), 'flat emoji', [])).toEqual(['bread, flat emoji', 'bread']);
  });
});
