/** Files and servers: needs a file system and an HTTP server, so it runs in Node only. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectCheckpoint, loadStateDict, saveSafetensors, type NamedTensor } from '../src/io/index.js';
import { pickle, pyDense, readSegments, torchZip, zipSegments, type Segment } from './io-files.js';

const golden = fileURLToPath(new URL('golden/', import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'checkpoints-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const tensors: [string, NamedTensor][] = ['a', 'b', 'c', 'd'].map((name, i) => [
  name,
  { shape: [2, 2], data: Float32Array.of(i, 1, 2, 3) },
]);

describe('files', () => {
  it('load by path and by file URL', async () => {
    const path = join(golden, 'paella-tiny-wrapped.pt');
    const byPath = await loadStateDict(path);
    const byUrl = await loadStateDict(pathToFileURL(path));
    expect(byPath.keys()).toHaveLength(136);
    expect(await byUrl.get('clf.1.bias')).toEqual(await byPath.get('clf.1.bias'));
    await byPath.close?.();
    await expect(byPath.get('clf.1.bias')).rejects.toMatchObject({ code: 'disposed' });
  });

  it('are named when they are missing, folders or damaged', async () => {
    const missing = join(folder, 'missing.pt');
    await expect(loadStateDict(missing)).rejects.toMatchObject({ code: 'not-found' });
    await expect(loadStateDict(missing)).rejects.toThrow(missing);
    await expect(loadStateDict(folder)).rejects.toMatchObject({ code: 'argument' });
    const half = join(folder, 'half.pt');
    await writeFile(half, (await readFile(join(golden, 'paella-tiny.pt'))).subarray(0, 1e5));
    await expect(loadStateDict(half)).rejects.toThrow(half);
  });

  it('are converted from PyTorch to safetensors, in halves if asked', async () => {
    const source = await loadStateDict(join(golden, 'paella-tiny.pt'));
    const path = join(folder, 'converted.safetensors');
    expect(await saveSafetensors(path, source, { dtype: 'f16', metadata: { format: 'pt' } })).toEqual([path]);
    const converted = await loadStateDict(path);
    const expected = await loadStateDict(join(golden, 'paella-tiny-f16.pt'));
    expect(converted.keys().toSorted()).toEqual(expected.keys().toSorted());
    for (const key of expected.keys()) expect(await converted.get(key)).toEqual(await expected.get(key));
  });

  it('appear whole or not at all', async () => {
    const place = await mkdtemp(join(folder, 'atomic-'));
    const path = join(place, 'model.safetensors');
    await writeFile(path, 'old');
    const broken: [string, NamedTensor][] = [
      ...tensors,
      ['huge', { shape: [1], data: Float32Array.of(1e9), dtype: 'f16' }],
    ];
    await expect(saveSafetensors(path, broken)).rejects.toMatchObject({ code: 'dtype' });
    await expect(saveSafetensors(path, broken, { maxShardBytes: 16 })).rejects.toMatchObject({
      code: 'dtype',
    });
    expect(await readdir(place)).toEqual(['model.safetensors']);
    expect(await readFile(path, 'utf8')).toBe('old');
    await saveSafetensors(path, tensors);
    expect(await readdir(place)).toEqual(['model.safetensors']);
    await expect(saveSafetensors(join(place, 'no', 'm'), tensors)).rejects.toMatchObject({
      code: 'not-found',
    });
  });
});

describe('shards', () => {
  it('are written with an index, and read through it', async () => {
    const path = join(await mkdtemp(join(folder, 'shards-')), 'model.safetensors');
    const files = await saveSafetensors(path, tensors, { maxShardBytes: 40 });
    const stem = path.replace('.safetensors', '');
    expect(files).toEqual([
      `${stem}-00001-of-00002.safetensors`,
      `${stem}-00002-of-00002.safetensors`,
      `${stem}.safetensors.index.json`,
    ]);
    expect(JSON.parse(await readFile(files[2], 'utf8'))).toEqual({
      metadata: { total_size: 64 },
      weight_map: {
        a: 'model-00001-of-00002.safetensors',
        b: 'model-00001-of-00002.safetensors',
        c: 'model-00002-of-00002.safetensors',
        d: 'model-00002-of-00002.safetensors',
      },
    });
    expect((await inspectCheckpoint(files[2])).container).toBe('safetensors-sharded');
    const state = await loadStateDict(files[2]);
    for (const [name, { data }] of tensors) expect((await state.get(name)).data).toEqual(data);
    await saveSafetensors(files[0], tensors.slice(0, 1));
    await expect(loadStateDict(files[2])).rejects.toThrow(/places tensor "b" in model-00001/);
    await rm(files[1]);
    await expect(loadStateDict(files[2])).rejects.toMatchObject({ code: 'not-found' });
  });

  it('may be PyTorch files, with the prefix of a parallel model', async () => {
    const place = await mkdtemp(join(folder, 'torch-shards-'));
    for (const name of ['x', 'y']) {
      const file = torchZip(new Map([[`module.${name}`, pyDense('0', [1])]]), {
        0: Float32Array.of(name.charCodeAt(0)),
      });
      await writeFile(join(place, `${name}.bin`), file);
    }
    const index = join(place, 'model.bin.index.json');
    await writeFile(index, JSON.stringify({ weight_map: { 'module.x': 'x.bin', 'module.y': 'y.bin' } }));
    expect(await inspectCheckpoint(index)).toMatchObject({ container: 'pt-sharded' });
    const state = await loadStateDict(index);
    expect(state.keys()).toEqual(['x', 'y']);
    expect((await state.get('y')).data).toEqual(Float32Array.of(121));
  });
});

/** Serves a file of segments, by ranges if `ranges`, and counts the bytes that leave. */
class TestServer {
  sent = 0;
  file: { size: number; segments: Segment[] } = { size: 0, segments: [] };
  ranges = true;
  etag = '"1"';
  /** Hang up in the middle of an answer. */
  drops = false;
  private readonly server: Server = createServer((request, response) => this.answer(request, response));

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/model.pt?token=secret`;
  }

  serve(file: { size: number; segments: Segment[] } | Uint8Array<ArrayBuffer>, ranges = true): void {
    this.file =
      file instanceof Uint8Array ? { size: file.length, segments: [{ offset: 0, bytes: file }] } : file;
    this.ranges = ranges;
    this.sent = 0;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { size, segments } = this.file;
    if (!request.url?.startsWith('/model.pt')) return void response.writeHead(404).end();
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (!range || !this.ranges) {
      response.writeHead(200, { 'content-length': size });
      return void response.end(size > 2 ** 30 ? undefined : readSegments(segments, 0, size));
    }
    const [from, to] = [Number(range[1]), Math.min(Number(range[2]), size - 1)];
    const bytes = readSegments(segments, from, to - from + 1);
    this.sent += bytes.length;
    response.writeHead(206, {
      'content-range': `bytes ${from}-${to}/${size}`,
      'content-length': bytes.length,
      etag: this.etag,
    });
    if (!this.drops) return void response.end(bytes);
    response.write(bytes.subarray(0, 1), () => response.destroy());
  }
}

describe('URLs', () => {
  const server = new TestServer();
  beforeAll(() => server.start());
  afterAll(() => server.stop());

  /** A checkpoint of 4 GB in 844 tensors, of which only the last holds something else than zeros. */
  function fourGigabytes() {
    const elements = 4.03e9 / 4 / 843;
    const shape = [1, Math.floor(elements)];
    const names = Array.from({ length: 844 }, (_, i) => `blocks.${i}.weight`);
    const value = new Map(names.map((name, i) => [name, pyDense(String(i), i === 843 ? [2] : shape)]));
    const parts = names.map((_, i) => ({
      name: `m/data/${i}`,
      data: i === 843 ? new Uint8Array(Float32Array.of(1, 2).buffer) : shape[1] * 4,
    }));
    return zipSegments([{ name: 'm/data.pkl', data: pickle(value) }, ...parts]);
  }

  it('lists 844 tensors of 4 GB from less than 1 MB, and reads one of them', async () => {
    const file = fourGigabytes();
    expect(file.size).toBeGreaterThan(4e9);
    server.serve(file);
    const state = await loadStateDict(server.url);
    expect(state.keys()).toHaveLength(844);
    expect((await state.get('blocks.843.weight')).data).toEqual(Float32Array.of(1, 2));
    expect(server.sent).toBeLessThan(1e6);
  });

  it('are downloaded where the server ignores ranges, if small enough', async () => {
    const file = new Uint8Array(await readFile(join(golden, 'paella-tiny.pt')));
    server.serve(file, false);
    expect(await inspectCheckpoint(new URL(server.url))).toEqual(await inspectCheckpoint(file));
    server.serve(fourGigabytes(), false);
    await expect(loadStateDict(server.url)).rejects.toMatchObject({ code: 'unsupported' });
    await expect(loadStateDict(server.url)).rejects.toThrow(/ignores range requests/);
  });

  it('fail clearly when the file is absent, empty, damaged or replaced, and keep tokens secret', async () => {
    const failure = (url: string) => loadStateDict(url).then(String, String);
    expect(await failure(server.url.replace('model', 'none'))).toMatch(/answered HTTP 404/);
    expect(await failure('http://127.0.0.1:1/model.pt')).toMatch(/could not be fetched/);
    server.serve(new Uint8Array(0), false);
    expect(await failure(server.url)).toMatch(/neither safetensors nor a PyTorch checkpoint/);
    expect(await failure(server.url)).not.toMatch(/secret/);

    server.serve(fourGigabytes());
    const state = await loadStateDict(server.url);
    server.drops = true;
    await expect(state.get('blocks.843.weight')).rejects.toMatchObject({ code: 'not-found' });
    server.drops = false;
    server.etag = '"2"';
    await expect(state.get('blocks.843.weight')).rejects.toThrow(/changed on the server/);
  });
});
