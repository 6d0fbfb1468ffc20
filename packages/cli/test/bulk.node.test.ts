import { PaellaError, type StateDict, stateDictOf } from '@paella/tensor';
import fc from 'fast-check';
import { unpackTar } from 'modern-tar';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { BulkFolder, type Content, type Work } from '../src/bulk/folder.js';
import { fingerprint } from '../src/bulk/identity.js';
import { type Job, type Summary, runJob } from '../src/bulk/job.js';
import { npy } from '../src/bulk/npy.js';
import { planPictures, runsOf } from '../src/bulk/plan.js';
import { duration } from '../src/bulk/progress.js';
import { readPrompts } from '../src/bulk/prompts.js';
import { type Environment, parseShard } from '../src/bulk/shard.js';
import type { Context } from '../src/context.js';
import { takeLock } from '../src/run/lock.js';

const root = mkdtempSync(join(tmpdir(), 'paella-bulk-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const newFolder = (): string => mkdtempSync(join(root, 'out-'));

describe('--shard', () => {
  it.each<[string, Environment, string]>([
    ['3/8', {}, '3/8'],
    ['auto', { SLURM_ARRAY_TASK_ID: '3', SLURM_ARRAY_TASK_COUNT: '4', SLURM_ARRAY_TASK_MIN: '0' }, '3/4'],
    ['auto', { SLURM_ARRAY_TASK_ID: '3', SLURM_ARRAY_TASK_COUNT: '4', SLURM_ARRAY_TASK_MIN: '1' }, '2/4'],
    [
      'auto',
      {
        SLURM_ARRAY_TASK_ID: '14',
        SLURM_ARRAY_TASK_COUNT: '3',
        SLURM_ARRAY_TASK_MIN: '10',
        SLURM_ARRAY_TASK_STEP: '2',
      },
      '2/3',
    ],
    ['auto/9', { SLURM_ARRAY_TASK_ID: '7', SLURM_ARRAY_TASK_COUNT: '1', SLURM_ARRAY_TASK_MIN: '7' }, '7/9'],
    ['auto/4', { JOB_COMPLETION_INDEX: '0' }, '0/4'],
    ['auto', { AWS_BATCH_JOB_ARRAY_INDEX: '1', AWS_BATCH_JOB_ARRAY_SIZE: '2' }, '1/2'],
    ['auto', { BATCH_TASK_INDEX: '0', BATCH_TASK_COUNT: '1' }, '0/1'],
    ['auto', { CLOUD_RUN_TASK_INDEX: '4', CLOUD_RUN_TASK_COUNT: '5' }, '4/5'],
    ['auto/3', { PBS_ARRAY_INDEX: '2' }, '2/3'],
  ])('%s with %j is %s', (text, environment, expected) => {
    const { index, count } = parseShard(text, environment);
    expect(`${index}/${count}`).toBe(expected);
  });

  it.each<[string, Environment, RegExp]>([
    ['3', {}, /such as 3\/8/],
    ['4/4', {}, /no shard 4 of 4/],
    ['0/0', {}, /no shard/],
    ['-1/4', {}, /such as 3\/8/],
    ['auto', {}, /SLURM_ARRAY_TASK_ID \(Slurm\), JOB_COMPLETION_INDEX \(Kubernetes\)/],
    ['auto', { JOB_COMPLETION_INDEX: '0' }, /Kubernetes doesn't say how many.*auto\/COUNT/],
    ['auto', { BATCH_TASK_INDEX: 'x', BATCH_TASK_COUNT: '1' }, /BATCH_TASK_INDEX is no whole number: 'x'/],
    [
      'auto',
      { SLURM_ARRAY_TASK_ID: '7', SLURM_ARRAY_TASK_COUNT: '2', SLURM_ARRAY_TASK_MIN: '3' },
      /Task 7 of 2 .*gaps: pass auto\/COUNT/,
    ],
    ['auto/4', { PBS_ARRAY_INDEX: '4' }, /no shard 4 of 4/],
  ])('refuses %s with %j', (text, environment, message) => {
    expect(() => parseShard(text, environment)).toThrow(message);
  });
});

describe('a prompt file', () => {
  const file = (content: string): string => {
    const path = join(newFolder(), 'prompts.jsonl');
    writeFileSync(path, content);
    return path;
  };

  it('has an object a line, of which everything is kept; empty lines count but have no picture', async () => {
    const { lines, failed } = await readPrompts(
      file('\uFEFF{"prompt": "a", "seed": 3, "shelf": ["B"]}\r\n\r\n{"prompt": "", "id": 7}\n\n\n'),
    );
    expect(lines).toEqual([{ prompt: 'a', seed: 3, shelf: ['B'] }, undefined, { prompt: '', id: 7 }]);
    expect(failed.size).toBe(0);
  });

  it.each([
    ['{"prompt": "a"}\n{"prompt": 3}\n', /line 2: prompt: .*Expected string.*--skip-bad-lines/],
    ['{"promt": "a"}\n', /line 1: prompt: /],
    ['{"prompt": "a"}\na red apple\n', /line 2: it is not JSON/],
    ['["a"]\n', /line 1: Expected object/],
    ['{"prompt": "a", "seed": -1}\n', /line 1: seed: /],
    ['{"prompt": "a", "settings": 1}\n', /line 1: 'settings' is written by this command/],
    ['\n\n', /holds no prompts/],
  ])('is refused: %j', async (content, message) => {
    await expect(readPrompts(file(content))).rejects.toThrow(message);
  });

  it('keeps its numbers where bad lines are passed over', async () => {
    const { lines, failed } = await readPrompts(file('nothing\n{"prompt": "b"}\n{}\n'), {
      skipBadLines: true,
    });
    expect(lines).toEqual([undefined, { prompt: 'b' }, undefined]);
    expect([...failed.keys()]).toEqual([0, 2]);
    expect(failed.get(2)).toEqual({ name: 'line 3', reason: expect.stringContaining('prompt') });
  });

  it('must be there', async () => {
    await expect(readPrompts(join(root, 'none.jsonl'))).rejects.toThrow(/none\.jsonl cannot be read/);
  });
});

describe('a plan', () => {
  it('holds every picture once, in order, in batches and tars that its number tells', () => {
    const size = fc.integer({ min: 1, max: 12 });
    const lines = fc.array(fc.option(fc.record({ prompt: fc.string() }), { nil: undefined }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(lines, size, size, size, (prompts, count, shardSize, batch) => {
        const plan = planPictures(prompts, { seed: 5, negative: 'x', count, shardSize, batch });
        const seen: number[] = [];
        const begun: number[] = [];
        for (let tar = 0; tar < plan.tars; tar++) {
          const batches = plan.batches(tar);
          expect(batches.flat()).toHaveLength(plan.sizeOf(tar));
          begun.push(...plan.linesOf(tar));
          for (const items of batches) {
            const places = items.map(({ index }) => Math.floor((index - tar * shardSize) / batch));
            expect(new Set(places).size).toBe(1);
            expect(items.every(({ index }) => Math.floor(index / shardSize) === tar)).toBe(true);
            seen.push(...items.map(({ index }) => index));
            expect(runsOf(items).flat()).toEqual(items);
          }
        }
        const expected = prompts.flatMap((line, i) =>
          line ? Array.from({ length: count }, (_, copy) => i * count + copy) : [],
        );
        expect(seen).toEqual(expected);
        expect(begun).toEqual(prompts.map((_, i) => i));
      }),
    );
  });

  it("draws with the noise of the picture's number, or of its line's own seed", () => {
    const lines = [{ prompt: 'a' }, { prompt: 'b', seed: 9, negative: 'n' }, { prompt: 'c' }];
    const plan = planPictures(lines, { seed: 5, negative: '', count: 2, shardSize: 6, batch: 6 });
    const [items] = plan.batches(0);
    expect(items.map(({ seed, stream, negative }) => [seed, stream, negative])).toEqual([
      [5, 0, ''],
      [5, 1, ''],
      [9, 0, 'n'],
      [9, 1, 'n'],
      [5, 4, ''],
      [5, 5, ''],
    ]);
    expect(runsOf(items).map((run) => run.length)).toEqual([2, 2, 2]);
    expect(plan.keyOf(3)).toBe('000003');
  });
});

describe('a fingerprint of weights', () => {
  const weights = (value: number, more: [string, number[]][] = []): StateDict =>
    stateDictOf(
      [...more, ['a.bias', [64]] as const, ['a.weight', [64, 128]] as const].map(([name, shape]) => [
        name,
        { shape: [...shape], data: new Float32Array(shape.reduce((a, b) => a * b)).fill(value) },
      ]),
    );

  it('tells them by names, shapes and values, in whatever order they come', async () => {
    const known = await fingerprint(weights(1));
    expect(known).toMatch(/^[0-9a-f]{16}$/);
    expect(await fingerprint(weights(1))).toBe(known);
    expect(await fingerprint(weights(1 + 2 ** -20))).not.toBe(known);
    const more = await fingerprint(weights(1, [['b.bias', [3]]]));
    expect(more).not.toBe(known);
    expect(await fingerprint(weights(1, [['b.bias', [1, 3]]]))).not.toBe(more);
    const keys = ['b.bias', 'a.weight', 'a.bias'];
    const turned = { ...weights(1, [['b.bias', [3]]]), keys: () => keys };
    expect(await fingerprint(turned)).toBe(more);
  });
});

describe('npy', () => {
  it.each([
    [Uint16Array.from([0, 1000, 2000, 3000, 4000, 5000]), [2, 3], 'u2', '(2, 3)', '0000e803d007b80ba00f8813'],
    [Uint32Array.from([70000, 70001, 70002]), [3], 'u4', '(3,)', '701101007111010072110100'],
  ])('is what NumPy writes for %j', (data, shape, type, tuple, expected) => {
    const bytes = Buffer.from(npy(data, shape));
    expect(bytes.subarray(0, 10).toString('hex')).toBe('934e554d505901007600');
    const header = bytes.subarray(10, 128).toString();
    expect(header).toBe(
      `${`{'descr': '<${type}', 'fortran_order': False, 'shape': ${tuple}, }`.padEnd(117)}\n`,
    );
    expect(bytes.subarray(128).toString('hex')).toBe(expected);
  });
});

describe('a job', () => {
  const work: Work = { prefix: 'made', tars: 5, settings: { command: 'test', depth: { steps: 2 } } };
  const text = (tar: number): Uint8Array => Buffer.from(`content of ${tar}`);
  const content = (tar: number): Content => ({
    members: [[`${tar}.txt`, text(tar)]],
    items: 3,
    failed: tar === 1 ? [{ name: 'x.png', reason: 'damaged' }] : [],
  });
  const notes: string[] = [];
  const controller = { aborted: false };
  const context = {
    out: { note: (line: string) => notes.push(line), progress: () => {}, result: () => {}, clear: () => {} },
    stopOn() {},
    checkInterrupt() {
      if (controller.aborted) throw new PaellaError('aborted', 'stopped');
    },
  } as unknown as Context;

  const run = async (
    path: string,
    shard = '0/1',
    make: (tar: number) => Content | string = content,
  ): Promise<Summary> => {
    const job: Job = {
      folder: BulkFolder.open(path, work),
      shard: parseShard(shard, {}),
      sizeOf: () => 3,
      prepare: () =>
        Promise.resolve({
          by: { adapter: 'none', version: '1' },
          make(tar, ready) {
            ready(3);
            return Promise.resolve(make(tar));
          },
        }),
    };
    const result = await runJob(context, job);
    if (result instanceof PaellaError) throw result;
    return result;
  };
  const filesOf = (path: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(path)
        .sort()
        .map((name) => [name, readFileSync(join(path, name), 'hex')]),
    );

  it('makes the same files in one process and in shards, and lists them once all are there', async () => {
    const [one, many] = [newFolder(), newFolder()];
    expect(await run(one)).toMatchObject({ items: 15, skipped: 0, failed: 1, failures: ['x.png: damaged'] });
    expect(await run(many, '1/3')).toMatchObject({
      shard: '1/3',
      tars: ['made-00001.tar', 'made-00004.tar'],
      items: 6,
      manifest: null,
    });
    expect((await run(many, '0/3')).manifest).toBeNull();
    expect(await run(many, '2/3')).toMatchObject({ items: 3, manifest: join(many, 'manifest.json') });
    expect(filesOf(many)).toEqual(filesOf(one));
    const manifest = JSON.parse(readFileSync(join(one, 'manifest.json'), 'utf8')) as { tars: object[] };
    expect(manifest).toMatchObject({
      format: 'paella-bulk/1',
      settings: work.settings,
      items: 15,
      failed: 1,
    });
    expect(manifest.tars[1]).toMatchObject({
      tar: 'made-00001.tar',
      bytes: 2048,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      items: 3,
      failed: [{ name: 'x.png', reason: 'damaged' }],
      adapter: 'none',
    });
    const [entry] = await unpackTar(readFileSync(join(one, 'made-00002.tar')));
    expect(entry).toMatchObject({ header: { name: '2.txt', mtime: new Date(0) } });
    expect(Buffer.from(entry.data!).toString()).toBe('content of 2');
  });

  it('makes again what has no record, or another size than its record says, and nothing else', async () => {
    const path = newFolder();
    await run(path);
    const before = filesOf(path);
    for (const left of ['made-00000.lock', '.made-00001.tar.x.tmp']) writeFileSync(join(path, left), '');
    rmSync(join(path, 'made-00001.json'));
    rmSync(join(path, 'made-00002.tar'));
    truncateSync(join(path, 'made-00003.tar'), 512);
    writeFileSync(join(path, 'made-00004.json'), '{"tar": ');
    const made: number[] = [];
    const summary = await run(path, '0/1', (tar) => {
      made.push(tar);
      return content(tar);
    });
    expect(made).toEqual([1, 2, 3, 4]);
    expect(summary).toMatchObject({ items: 12, skipped: 3 });
    expect(filesOf(path)).toEqual(before);
    const nothing = await run(path, '0/1', () => {
      throw new Error('nothing is left to make');
    });
    expect(nothing).toMatchObject({
      items: 0,
      skipped: 15,
      seconds: 0,
      manifest: join(path, 'manifest.json'),
    });
  });

  it('stops at Ctrl-C, keeps what is complete, and says how to go on', async () => {
    const path = newFolder();
    const stop = (tar: number): Content => {
      controller.aborted = tar === 1;
      return content(tar);
    };
    await expect(run(path, '0/1', stop)).rejects.toThrow(/stopped with 3 tars to go.*same command again/);
    controller.aborted = false;
    expect(await run(path)).toMatchObject({ items: 9, skipped: 6 });
    expect(readdirSync(path).filter((name) => name.endsWith('.lock'))).toEqual([]);
  });

  it('refuses a folder of other settings, and one of other tars', async () => {
    const path = newFolder();
    await run(path);
    const other = { ...work, settings: { command: 'test', depth: { steps: 3 }, size: [8, 8] } };
    expect(() => BulkFolder.open(path, other)).toThrow(
      /begun with other settings: depth\.steps was 2, is 3; size was absent, is \[8,8\]/,
    );
    const foreign = newFolder();
    writeFileSync(join(foreign, 'photos.tar'), '');
    expect(() => BulkFolder.open(foreign, work)).toThrow(/already holds tar files/);
  });

  it('leaves to the next run what cannot be made now', async () => {
    const path = newFolder();
    await expect(run(path, '0/1', (tar) => (tar === 2 ? 'no answer' : content(tar)))).rejects.toThrow(
      /1 tars could not be made: made-00002\.tar \(no answer\).*again/,
    );
    expect(await run(path)).toMatchObject({ items: 3, skipped: 12, manifest: expect.any(String) });
  });

  it('leaves tars to live processes of this machine, and takes those of dead ones and of other machines', async () => {
    const path = newFolder();
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const lock = (tar: number): string => join(path, `made-0000${tar}.lock`);
    const owner = (pid: number, host?: string): string => {
      const release = takeLock(join(path, 'own'), 'looking');
      const own = JSON.parse(readFileSync(join(path, 'own'), 'utf8')) as object;
      release();
      return JSON.stringify({ ...own, pid, started: null, ...(host && { host }) });
    };
    BulkFolder.open(path, work);
    writeFileSync(lock(1), owner(other.pid!));
    writeFileSync(lock(3), owner(other.pid!, 'another machine'));
    const first = await run(path);
    expect(first).toMatchObject({ items: 12, elsewhere: 1, manifest: null });
    expect(notes).toContain('made-00001.tar is being made by another process');
    other.kill();
    await new Promise((resolve) => other.on('close', resolve));
    expect(await run(path)).toMatchObject({ items: 3, elsewhere: 0, manifest: expect.any(String) });
    expect(readdirSync(path).filter((name) => name.endsWith('.lock'))).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')(
    'takes tars of processes that were killed and not yet noticed by their parents (skipped off Linux)',
    async () => {
      const path = newFolder();
      // A shell that becomes a program which knows of no child: the child stays as a zombie.
      const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60']);
      const [line] = (await once(parent.stdout, 'data')) as [Buffer];
      const pid = Number(line.toString());
      const fields = (): string[] =>
        readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ');
      await vi.waitUntil(() => fields()[0] === 'Z');
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      BulkFolder.open(path, work);
      const owner = { pid, host: hostname(), started: `${boot} ${fields()[19]}` };
      writeFileSync(join(path, 'made-00001.lock'), JSON.stringify(owner));
      expect(await run(path)).toMatchObject({ elsewhere: 0, manifest: expect.any(String) });
      parent.kill();
    },
  );

  it('says where there is nothing to do for a shard', async () => {
    expect(await run(newFolder(), '7/8')).toMatchObject({ tars: [], items: 0 });
    expect(notes.at(-1)).toMatch(/nothing to do for shard 7\/8: there are 5 tars/);
  });

  it.each([
    [0.2, '1 s'],
    [59, '59 s'],
    [119, '2 min'],
    [7800, '2 h 10 min'],
  ])('counts %d seconds as %s', (seconds, expected) => {
    expect(duration(seconds)).toBe(expected);
  });
});
