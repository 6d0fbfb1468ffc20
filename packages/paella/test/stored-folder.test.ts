import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DownloadProgress, Pipeline, openModelFolder, storedFolder } from '../src/index.js';
import { readFixture } from '../../../test/fixtures.js';
import { testDevice } from './helpers.js';
import { type WebFile, webFolder } from './web-folder.js';

/** Only pages have one. */
const hasCache = 'caches' in globalThis;

afterEach(async () => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  if (hasCache) await caches.delete('paella-models');
});

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

async function sha256(content: BufferSource): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A folder whose `model.json` gives the hashes of all other files. */
async function hashed(contents: Record<string, string>): Promise<Record<string, WebFile>> {
  const hashes = Object.entries(contents).map(async ([name, text]) => [name, await sha256(bytes(text))]);
  const card = { sha256: Object.fromEntries((await Promise.all(hashes)) as [string, string][]) };
  return { ...contents, 'model.json': JSON.stringify(card) };
}

/** What is stored: file names with the first digits of their hashes. */
async function stored(): Promise<string[]> {
  const keys = await (await caches.open('paella-models')).keys();
  return keys
    .map(({ url }) => new URL(url).searchParams)
    .map((query) => `${query.get('file')} ${query.get('sha256')?.slice(0, 4)}`.trim())
    .sort();
}

const offline = (): Response => {
  throw new TypeError('no network');
};

/** A body that ends before its time. */
const breaking = (): Response =>
  new Response(
    new ReadableStream({
      start: (controller) => controller.enqueue(bytes('unet')),
      pull: (controller) => controller.error(new TypeError('connection reset')),
    }),
  );

const v1 = { 'unet.bin': 'unet one', 'words.txt': 'a\nb' };
let files: Record<string, WebFile>;
beforeEach(async () => {
  files = await hashed(v1);
});

describe('a stored folder', () => {
  it('downloads all files at once, and tells how far it is', async () => {
    const { url, downloads } = webFolder(files);
    const progress: DownloadProgress[] = [];
    const folder = await storedFolder(url, { onProgress: (one) => progress.push(one) });
    expect(await folder.text('unet.bin')).toBe('unet one');
    expect(await folder.text('words.txt')).toBe('a\nb');
    expect(await folder.text('words.txt')).toBe('a\nb');
    expect(downloads.sort()).toEqual(['model.json no-cache', 'unet.bin default', 'words.txt default']);
    expect(progress.filter(({ file }) => file === 'unet.bin')).toEqual([
      { file: 'unet.bin', loadedBytes: 0, totalBytes: 8 },
      { file: 'unet.bin', loadedBytes: 8, totalBytes: 8 },
    ]);
  });

  it('reads what has no hash from the server, and has nothing that is not there', async () => {
    const { url, reads } = webFolder({ ...files, 'notes.txt': 'hello' });
    const folder = await storedFolder(url);
    expect(await folder.text('notes.txt')).toBe('hello');
    expect([...reads.keys()]).toEqual(['notes.txt']);
    expect(await folder.find(['nothing', 'words.txt'])).toBe('words.txt');
    await expect(folder.text('nothing')).rejects.toMatchObject({ code: 'not-found' });
    const { url: empty } = webFolder({});
    await expect((await storedFolder(empty)).text('model.json')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('goes past caches once when a file is not the one of model.json, and then says so', async () => {
    let answers = 0;
    files['unet.bin'] = () => new Response(++answers === 1 ? 'an old one' : 'unet one');
    const { url, downloads } = webFolder(files);
    expect(await (await storedFolder(url)).text('unet.bin')).toBe('unet one');
    expect(downloads).toContain('unet.bin reload');
    if (hasCache) await caches.delete('paella-models');

    files['unet.bin'] = 'damaged!';
    const folder = await storedFolder(url);
    await expect(folder.text('unet.bin')).rejects.toMatchObject({
      code: 'format',
      message: /unet\.bin is not the file that model\.json names/,
      fix: /^Load the page again/,
    });
    files['unet.bin'] = 'unet one';
    expect(await folder.text('unet.bin')).toBe('unet one');
  });

  it('reports a connection that breaks, and begins anew when it is asked again', async () => {
    files['unet.bin'] = breaking;
    const { url } = webFolder(files);
    const folder = await storedFolder(url);
    await expect(folder.text('unet.bin')).rejects.toMatchObject({
      code: 'not-found',
      message: /unet\.bin could not be fetched: .*connection reset/,
    });
    files['unet.bin'] = 'unet one';
    expect(await folder.text('unet.bin')).toBe('unet one');
  });

  it('stops when its signal fires', async () => {
    const { url } = webFolder(files);
    const controller = new AbortController();
    files['unet.bin'] = () => {
      controller.abort();
      return breaking();
    };
    const { signal } = controller;
    const folder = await storedFolder(url, { signal });
    await expect(folder.text('unet.bin')).rejects.toMatchObject({ code: 'aborted' });
    await expect(storedFolder(url, { signal })).rejects.toMatchObject({ code: 'aborted' });
  });

  it('holds files in memory where pages may store nothing', async () => {
    vi.stubGlobal('caches', { open: () => Promise.reject(new DOMException('insecure', 'SecurityError')) });
    const { url, downloads } = webFolder(files);
    const folder = await storedFolder(url);
    for (let i = 0; i < 2; i++) expect(await folder.text('unet.bin')).toBe('unet one');
    expect(downloads.filter((name) => name.startsWith('unet.bin'))).toHaveLength(1);
  });

  it('has right hashes for the embedded model', async () => {
    const { card } = await openModelFolder('default');
    const { unet, vqgan, image_encoder, text_encoder } = card;
    const text = text_encoder.kind === 'word-vectors' ? [text_encoder.vocabulary] : [];
    const named = [unet.weights, vqgan.weights, image_encoder!.weights, text_encoder.weights, ...text];
    expect(Object.keys(card.sha256!).sort()).toEqual(named.sort());
    for (const [file, hash] of Object.entries(card.sha256!)) {
      expect(await sha256(await readFixture(`packages/paella/models/default/${file}`)), file).toBe(hash);
    }
  });

  it('draws with the embedded model, in a page also without a network', async () => {
    const device = await testDevice();
    const draw = async () => {
      using pipeline = await Pipeline.load(await storedFolder('default'), { device });
      return (await pipeline.generate('car', { seed: 1, steps: 2 })).tokens;
    };
    const tokens = await draw();
    if (hasCache) {
      await vi.waitFor(async () => expect(await stored()).toHaveLength(6));
      vi.stubGlobal('fetch', () => Promise.reject(new TypeError('no network')));
    }
    expect(await draw()).toEqual(tokens);
  });
});

describe.runIf(hasCache)('the store of a page (where there is a Cache API)', () => {
  it('serves later visits, also without a network', async () => {
    const { url, downloads } = webFolder(files);
    await storedFolder(url);
    await vi.waitFor(async () => expect(await stored()).toHaveLength(3));
    downloads.length = 0;
    expect(await (await storedFolder(url)).text('unet.bin')).toBe('unet one');
    expect(downloads).toEqual(['model.json no-cache']);
    for (const name of Object.keys(files)) files[name] = offline;
    const folder = await storedFolder(url);
    expect(await folder.text('words.txt')).toBe('a\nb');
    for (const name of Object.keys(files)) files[name] = () => new Response('', { status: 503 });
    expect(await (await storedFolder(url)).text('unet.bin')).toBe('unet one');
  });

  it('keeps nothing of a file that is wrong or breaks off', async () => {
    const { url } = webFolder(files);
    for (const wrong of ['damaged!', breaking]) {
      files['unet.bin'] = wrong;
      const folder = await storedFolder(url);
      await folder.text('words.txt');
      await expect(folder.text('unet.bin')).rejects.toThrow('unet.bin');
      expect(await stored()).toEqual([`words.txt ${(await sha256(bytes('a\nb'))).slice(0, 4)}`]);
    }
  });

  it('replaces a version when all of the next one is there, and leaves other folders alone', async () => {
    const { url } = webFolder(files);
    const other = `${url.href}inside/`;
    const cache = await caches.open('paella-models');
    await cache.put(`${other}?file=unet.bin&sha256=00`, new Response(''));
    await storedFolder(url);
    await vi.waitFor(async () => expect(await stored()).toHaveLength(4));
    const before = await stored();

    Object.assign(files, await hashed({ 'unet.bin': 'unet two' }), { 'unet.bin': breaking });
    await expect((await storedFolder(url)).text('unet.bin')).rejects.toThrow('unet.bin');
    expect(await stored()).toEqual(before);
    files['unet.bin'] = 'unet two';
    expect(await (await storedFolder(url)).text('unet.bin')).toBe('unet two');
    const digits = (await sha256(bytes('unet two'))).slice(0, 4);
    await vi.waitFor(async () =>
      expect(await stored()).toEqual(['model.json', 'unet.bin 00', `unet.bin ${digits}`].sort()),
    );
  });

  it('is done without where there is no room', async () => {
    const { url, downloads } = webFolder(files);
    vi.spyOn(Cache.prototype, 'put').mockRejectedValue(new DOMException('full', 'QuotaExceededError'));
    const folder = await storedFolder(url);
    for (let i = 0; i < 2; i++) expect(await folder.text('unet.bin')).toBe('unet one');
    // Once for the store, which had no room, and once for memory.
    expect(downloads.filter((name) => name.startsWith('unet.bin'))).toHaveLength(2);
  });
});
