import { afterEach, describe, expect, it, vi } from 'vitest';
import { type ClipTokenizer, type ClipVocabulary, clipTokenizer, openClipTokenizer } from '../src/index.js';
import { openFolder } from '../src/folder.js';
import { json, text } from './helpers.js';
import { webFolder } from './web-folder.js';

/** Texts and their ids by open_clip; without padding where there is no more to see. */
type Golden = { text: string; ids: number[] }[];

/** The part of CLIP's vocabulary that the golden texts need, as a `tokenizer.json`. */
const tokenizerJson = (): Promise<{ model: { vocab: ClipVocabulary['vocab']; merges: string[] } }> =>
  json('clip-tokenizer.json');

afterEach(() => {
  vi.unstubAllGlobals();
});

const open = (files: Record<string, Uint8Array<ArrayBuffer> | string>) =>
  openClipTokenizer(openFolder(webFolder(files).url));

const idsOf = (tokenizer: ClipTokenizer, string: string): number[] => Array.from(tokenizer.encode(string));

async function zipped(plain: string): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([plain]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

describe('the CLIP tokenizer', () => {
  it('gives the ids of open_clip', async () => {
    const tokenizer = await open({ 'tokenizer.json': await text('clip-tokenizer.json') });
    for (const { text: string, ids } of await json<Golden>('clip-tokenizer.golden.json')) {
      expect(idsOf(tokenizer, string), string).toEqual(ids);
    }
  });

  it('cleans texts as open_clip', async () => {
    const tokenizer = await open({ 'tokenizer.json': await text('clip-tokenizer.json') });
    for (const { text: string, ids } of await json<Golden>('clip-tokenizer.cleaning.json')) {
      const padded = [...ids, ...new Array<number>(77 - ids.length).fill(0)];
      expect(idsOf(tokenizer, string), string).toEqual(padded);
    }
  });

  it('reads vocab.json with merges.txt', async () => {
    const { vocab, merges } = (await tokenizerJson()).model;
    const tokenizer = await open({
      'vocab.json': JSON.stringify(vocab),
      'merges.txt': ['#version: 0.2', ...merges, ''].join('\n'),
    });
    const [, { text: string, ids }] = await json<Golden>('clip-tokenizer.golden.json');
    expect(idsOf(tokenizer, string)).toEqual(ids);
  });

  it("reads open_clip's list of merges, in which ids are places", async () => {
    const lines = ['"bpe_simple_vocab_16e6.txt#version: 0.2', 'c a', 'ca t</w>', 'd o', ''];
    const tokenizer = await open({ 'bpe_simple_vocab_16e6.txt.gz': await zipped(lines.join('\n')) });
    // 256 bytes, 256 at the end of a word, three merges, start and end. "!" is the first byte.
    const [g, o] = ['g', 'o'].map((letter) => letter.charCodeAt(0) - 0x21);
    expect(idsOf(tokenizer, 'Cat dog!').slice(0, 7)).toEqual([515, 513, 514, 256 + g, 256, 516, 0]);
    expect(idsOf(tokenizer, 'o é').slice(0, 5)).toEqual([515, 256 + o, 127, 256 + 102, 516]);
  });

  it('takes both ways of writing merges, and any context length', async () => {
    const { vocab, merges } = (await tokenizerJson()).model;
    const pairs = merges.map((line) => line.split(' ') as [string, string]);
    const tokenizer = await clipTokenizer({ vocab, merges: pairs }, { contextLength: 5 });
    expect(idsOf(tokenizer, 'a photo of a cat')).toEqual([49406, 320, 1125, 539, 49407]);
    const modern = { model: { vocab, merges: pairs } };
    const opened = await open({ 'tokenizer.json': JSON.stringify(modern) });
    expect(idsOf(opened, 'a cat').slice(0, 4)).toEqual([49406, 320, 2368, 49407]);
  });

  it('says what is missing or wrong', async () => {
    await expect(open({})).rejects.toMatchObject({ code: 'not-found' });
    await expect(open({})).rejects.toThrow(/holds no CLIP tokenizer/);
    await expect(open({ 'tokenizer.json': '{"model":{}}' })).rejects.toThrow(/tokenizer\.json: [^]*vocab/);
    await expect(open({ 'tokenizer.json': 'x' })).rejects.toThrow(/is not JSON/);
    const plain = new TextEncoder().encode('plain');
    await expect(open({ 'bpe_simple_vocab_16e6.txt.gz': plain })).rejects.toThrow(/not compressed by gzip/);
  });
});
