import { type StateDict, stateDictOf } from '@paella/tensor';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadLatestCheckpoint, newestCheckpoint, saveCheckpoint } from '../src/run/checkpoints.js';
import { configNames, paellaRunConfig, parseConfig, readConfig, vqganRunConfig } from '../src/run/config.js';
import { RunFolder } from '../src/run/folder.js';
import { MetricsLog, readMetrics } from '../src/run/metrics.js';
import { writeReport } from '../src/run/report.js';
import { crc32c } from '../src/run/tensorboard.js';
import { parseFields, parseRecords } from './tfevents.js';

const root = mkdtempSync(join(tmpdir(), 'paella-run-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const newFolder = (): string => mkdtempSync(join(root, 'run-'));

const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was refused');
};

const weights = (value: number, size = 1000): StateDict =>
  stateDictOf([['layer.weight', { shape: [size], data: new Float32Array(size).fill(value) }]]);

describe('configurations', () => {
  const model = readConfig('vqgan-emoji64') as { model: object };

  it('come along for all trainers, and are valid', () => {
    expect(configNames()).toEqual(['image-encoder-emoji64', 'paella-emoji64', 'vqgan-emoji64']);
    const vqgan = parseConfig(vqganRunConfig, readConfig('vqgan-emoji64'), 'vqgan-emoji64');
    const paella = parseConfig(paellaRunConfig, readConfig('paella-emoji64'), 'paella-emoji64');
    expect(vqgan.model.codebook_size).toBe(paella.model.num_labels);
    expect(vqgan.training.betas).toEqual([0.9, 0.999]);
    expect(paella.text).toEqual({ kind: 'word-vectors', model: 'default' });
  });

  it('are refused with every problem at once, each with its place and the nearest key', () => {
    const input = {
      ...model,
      training: { learning_rat: 1, 'Batch-Size': 4, betas: [0.9, 1.5], schedule: 'linear', zebra: 1 },
      flip: true,
      loss: { l1: 'much' },
    };
    const message = refusal(() => parseConfig(vqganRunConfig, input, 'my.json'));
    expect(message).toContain('my.json');
    expect(message).toContain('training.learning_rat: unknown key; did you mean learning_rate?');
    expect(message).toContain('training.Batch-Size: unknown key; did you mean batch_size?');
    expect(message).toMatch(/training\.zebra: unknown key$/m);
    expect(message).toMatch(/^ *flip: unknown key; did you mean data\.flip\?$/m);
    expect(message).toMatch(/training\.betas\[1\]: .*<1/);
    expect(message).toMatch(/training\.schedule: .*"constant" \| "cosine"/);
    expect(message).toContain('loss.l1: expected number but received "much"');
  });

  it('say what is missing', () => {
    const message = refusal(() => parseConfig(vqganRunConfig, { model: { levels: 2 } }, 'x'));
    expect(message).toContain('model.codebook_size: missing, expected number');
    expect(refusal(() => parseConfig(vqganRunConfig, [], 'x'))).toMatch(/the whole: expected object/);
    const list = { ...model, training: [] };
    expect(refusal(() => parseConfig(vqganRunConfig, list, 'x'))).toMatch(/training: expected object/);
  });

  it('suggest keys of the chosen kind of text encoder only', () => {
    const { model: unet } = readConfig('paella-emoji64') as { model: object };
    const check = (text: object): string =>
      refusal(() => parseConfig(paellaRunConfig, { model: unet, text }, 'x'));
    expect(check({ kind: 'byt5', path: 'a', max_len: 3 })).toContain('did you mean max_length?');
    expect(check({ kind: 'word-vectors', max_len: 3 })).toMatch(/text\.max_len: unknown key$/m);
    expect(check({ kind: 'clip' })).toContain("text.kind: expected kind 'word-vectors', 'byt5' or 'bytes'");
  });

  it('are JSON files with comments; a syntax error has a line and a column', () => {
    const path = join(newFolder(), 'a.json');
    writeFileSync(path, '{ // a comment\n  "a": 1,\n}\n');
    expect(readConfig(path)).toEqual({ a: 1 });
    writeFileSync(path, '{\n  "a": }\n');
    expect(refusal(() => readConfig(path))).toMatch(/a\.json is not JSON: line 2, column 8: /);
    expect(refusal(() => readConfig('vqgan-emoji'))).toMatch(
      /one of image-encoder-emoji64, paella-emoji64, vqgan-emoji64/,
    );
  });
});

describe('a run folder', () => {
  const run = { kind: 'vqgan', config: { training: { steps: 5, seed: 1 }, model: { a: [1] } }, version: '1' };
  const open = (path: string, changes: Partial<typeof run> & { resume?: boolean } = {}): RunFolder =>
    RunFolder.open(path, { ...run, resume: false, ...changes });

  it('is begun once, and resumed with the same settings', () => {
    const path = join(newFolder(), 'deep', 'run');
    expect(refusal(() => open(path, { resume: true }))).toContain('no run to resume');
    open(path).close();
    const first = JSON.parse(readFileSync(join(path, 'run.json'), 'utf8')) as { created: string };
    expect(refusal(() => open(path))).toMatch(/already holds a run.*--resume/);
    expect(refusal(() => open(path, { resume: true, kind: 'paella' }))).toMatch(/of vqgan, not of paella/);
    expect(RunFolder.storedConfig(path, 'vqgan')).toEqual(run.config);
    expect(refusal(() => RunFolder.storedConfig(path, 'paella'))).toMatch(/of vqgan, not of paella/);
    const config = { training: { steps: 9, seed: 2 }, model: { a: [2] } };
    const message = refusal(() => open(path, { resume: true, config }));
    expect(message).toContain('training.seed was 1, is 2; model.a was [1], is [2]');
    expect(message).not.toContain('steps was');
    const longer = open(path, {
      resume: true,
      config: { ...config, training: { steps: 9, seed: 1 }, model: run.config.model },
    });
    longer.close();
    const second = JSON.parse(readFileSync(join(path, 'run.json'), 'utf8')) as {
      created: string;
      sessions: object[];
    };
    expect(second.created).toBe(first.created);
    expect(second.sessions).toHaveLength(2);
    expect(longer.config).toEqual({ training: { steps: 9, seed: 1 }, model: { a: [1] } });
  });

  it('belongs to one process, until that one ends', () => {
    const path = newFolder();
    const lock = join(path, 'lock');
    const held = open(path);
    expect(refusal(() => open(path, { resume: true }))).toContain(`process ${process.pid} is training in`);
    const content = JSON.parse(readFileSync(lock, 'utf8')) as { pid: number; host: string; started: string };
    held.close();
    expect(existsSync(lock)).toBe(false);

    const takenOver = (owner: object | string): void => {
      writeFileSync(lock, typeof owner === 'string' ? owner : JSON.stringify(owner));
      open(path, { resume: true }).close();
    };
    const { pid: dead } = spawnSync(process.execPath, ['--version']);
    takenOver({ ...content, pid: dead });
    takenOver({ ...content, started: 'another boot 1' }); // its number went to another process
    takenOver('{"pi'); // killed while it wrote

    writeFileSync(lock, JSON.stringify({ ...content, host: 'elsewhere' }));
    expect(refusal(() => open(path, { resume: true }))).toMatch(/of elsewhere.*delete .*lock/);
    expect(readdirSync(path).sort()).toEqual(['lock', 'run.json']);
  });

  it('is free again after a refusal', () => {
    const path = newFolder();
    open(path).close();
    refusal(() => open(path));
    open(path, { resume: true }).close();
  });

  it('does not take back a lock that another process holds by now', () => {
    const path = newFolder();
    const run1 = open(path);
    writeFileSync(join(path, 'lock'), 'another owner');
    run1.close();
    expect(readFileSync(join(path, 'lock'), 'utf8')).toBe('another owner');
  });
});

describe('checkpoints', () => {
  const notes: string[] = [];
  const load = (run: string) => loadLatestCheckpoint(run, (message) => notes.push(message));
  const save = (run: string, step: number, keep = 2): Promise<string> =>
    saveCheckpoint(run, step, { model: weights(step), optimizer: weights(-step) }, { at: step }, { keep });
  const folders = (run: string): string[] => readdirSync(join(run, 'checkpoints')).sort();

  it('keep parts and state, and only the newest', async () => {
    const run = newFolder();
    expect(await load(run)).toBeNull();
    expect(newestCheckpoint(run)).toBeNull();
    for (const step of [100, 200, 300]) expect(await save(run, step)).toBe(newestCheckpoint(run));
    expect(folders(run)).toEqual(['step-00000200', 'step-00000300']);
    const { step, state, parts } = (await load(run))!;
    expect({ step, state, names: Object.keys(parts) }).toEqual({
      step: 300,
      state: { at: 300 },
      names: ['model', 'optimizer'],
    });
    expect((await parts.optimizer.get('layer.weight')).data).toEqual(new Float32Array(1000).fill(-300));
  });

  it('that are damaged are passed over, whatever was done to them, and leave no trace later', async () => {
    const damages: ((path: string) => void)[] = [
      (path) => truncateSync(join(path, 'model.safetensors'), 1000),
      (path) => rmSync(join(path, 'optimizer.safetensors')),
      (path) => rmSync(join(path, 'state.json')),
      (path) => truncateSync(join(path, 'state.json'), 40),
      (path) => writeFileSync(join(path, 'state.json'), ''),
      (path) => {
        const file = join(path, 'model.safetensors');
        const bytes = readFileSync(file);
        bytes[bytes.length - 3] ^= 1;
        writeFileSync(file, bytes);
      },
    ];
    for (const damage of damages) {
      const run = newFolder();
      await save(run, 1);
      damage(await save(run, 2));
      notes.length = 0;
      expect((await load(run))?.step).toBe(1);
      expect(notes).toHaveLength(1);
      expect(notes[0]).toMatch(/step-00000002 is damaged/);
    }
    const run = newFolder();
    await save(run, 1);
    for (const step of [5, 6]) damages[0](await save(run, step, 3));
    await save(run, 2);
    expect(folders(run)).toEqual(['step-00000001', 'step-00000002']);
  });

  it('that were being written or deleted when the process died are cleaned away', async () => {
    const run = newFolder();
    await save(run, 1);
    const half = join(run, 'checkpoints', '.step-00000002.abc.tmp');
    mkdirSync(half);
    writeFileSync(join(half, 'model.safetensors'), 'half');
    expect((await load(run))?.step).toBe(1);
    expect(folders(run)).toEqual(['step-00000001']);
  });

  it('leave the last one alone when writing fails', async () => {
    const run = newFolder();
    await save(run, 1);
    const broken: StateDict = { ...weights(2), get: () => Promise.reject(new Error('device lost')) };
    await expect(saveCheckpoint(run, 2, { model: broken }, {}, { keep: 1 })).rejects.toThrow('device lost');
    await expect(saveCheckpoint(run, 2, {}, { loss: NaN }, { keep: 1 })).rejects.toThrow(/NaN as "loss"/);
    expect(folders(run)).toEqual(['step-00000001']);
  });

  it('can be written again for the same step', async () => {
    const run = newFolder();
    await save(run, 7);
    await saveCheckpoint(run, 7, { model: weights(70) }, { again: true }, { keep: 1 });
    const { state, parts } = (await load(run))!;
    expect(state).toEqual({ again: true });
    expect((await parts.model.get('layer.weight')).data[0]).toBe(70);
  });
});

describe('metrics', () => {
  const begin = (): RunFolder =>
    RunFolder.open(newFolder(), { kind: 'vqgan', config: {}, version: '1', resume: false });
  const rows = (run: RunFolder) =>
    readMetrics(join(run.path, 'metrics.jsonl')).map((row) => {
      const { time, ...values } = row;
      expect(time).toBeGreaterThan(1.7e9);
      return values;
    });
  const eventFiles = (run: RunFolder): string[] =>
    readdirSync(join(run.path, 'tensorboard')).map((name) => join(run.path, 'tensorboard', name));

  it('go on from the checkpoint: later rows and a torn line are dropped', () => {
    const run = begin();
    const log = new MetricsLog(run, 0);
    for (const step of [10, 20, 30]) log.write(step, { loss: 1 / step, grad_norm: NaN });
    const file = join(run.path, 'metrics.jsonl');
    appendFileSync(file, '{"step":40,"ti');
    expect(rows(run).map(({ step }) => step)).toEqual([10, 20, 30]);
    new MetricsLog(run, 20).write(30, { loss: 7 });
    expect(rows(run)).toEqual([
      { step: 10, loss: 0.1 },
      { step: 20, loss: 0.05 },
      { step: 30, loss: 7 },
    ]);
    writeFileSync(file, '{"step":1}\n{"st\n{"step":2}\n');
    expect(refusal(() => readMetrics(file))).toMatch(/damaged in line 2/);
  });

  it('are events of TensorBoard: framed records, scalars, pictures, a restart', () => {
    // RFC 3720, appendix B.4
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);

    const run = begin();
    const log = new MetricsLog(run, 0);
    log.write(300, { loss: 0.5, 'codebook/used': 0.25 });
    const image = { width: 2, height: 3, data: new Uint8ClampedArray(24).fill(200) };
    log.picture(300, 'samples', image);
    const png = readFileSync(join(run.path, 'grids', 'samples-00000300.png'));

    const text = (value: number | Uint8Array): string => Buffer.from(value as Uint8Array).toString();
    const find = (message: number | Uint8Array, field: number): (number | Uint8Array)[] =>
      parseFields(message as Uint8Array).flatMap((one) => (one.field === field ? [one.value] : []));
    const [header, scalars, picture] = parseRecords(readFileSync(eventFiles(run)[0]));
    expect(text(find(header, 3)[0])).toBe('brain.Event:2');
    expect(Math.abs((find(scalars, 1)[0] as number) - Date.now() / 1000)).toBeLessThan(60);
    expect(find(scalars, 2)).toEqual([300]);
    const values = find(find(scalars, 5)[0], 1).map((value) => [text(find(value, 1)[0]), find(value, 2)[0]]);
    expect(values).toEqual([
      ['loss', 0.5],
      ['codebook/used', 0.25],
    ]);
    const [value] = find(find(picture, 5)[0], 1);
    const [inside] = find(value, 4);
    expect([find(inside, 1), find(inside, 2)]).toEqual([[3], [2]]);
    expect(Buffer.from(find(inside, 4)[0] as Uint8Array).equals(png)).toBe(true);

    const before = new Set(eventFiles(run));
    const more = new MetricsLog(run, 200);
    expect(more).toBeInstanceOf(MetricsLog);
    const all = eventFiles(run).flatMap((path) => parseRecords(readFileSync(path)));
    const restart = all.find((event) => find(event, 7).length > 0)!;
    expect(find(restart, 2)).toEqual([201]);
    expect(find(find(restart, 7)[0], 1)).toEqual([1]);
    expect(before.size).toBe(1);
  });
});

describe('the report', () => {
  it('shows every measurement, the newest pictures and the configuration, and asks no server for anything', () => {
    const path = newFolder();
    const values = {
      loss: 2,
      'loss_noise_0-25': 1,
      'codebook/used': 0.5,
      'codebook/perplexity': 90,
      psnr: 20,
    };
    const lines = Array.from({ length: 200 }, (_, i) => {
      const row: Record<string, number> = { step: i + 1, time: 1.8e9 + i };
      for (const [name, value] of Object.entries(values)) {
        if (name !== 'psnr' || i % 50 === 49) row[name] = value * (1 + Math.sin(i));
      }
      return JSON.stringify(row);
    });
    writeFileSync(join(path, 'metrics.jsonl'), `${lines.join('\n')}\n{"step":201,`);
    mkdirSync(join(path, 'grids'));
    for (const step of [100, 200]) writeFileSync(join(path, 'grids', `a b-00000${step}.png`), '');
    const config = { training: { steps: 400, betas: [0.9, 0.95] }, data: { source: '<b>&"' } };
    const html = readFileSync(writeReport({ path, kind: 'vqgan', config }), 'utf8');
    for (const name of Object.keys(values)) expect(html).toContain(`</i>${name} <b>`);
    expect(html.match(/<svg/g)).toHaveLength(3); // loss, codebook, psnr
    expect(html).toMatch(/a%20b-00000200\.png.*a%20b-00000100\.png/s);
    expect(html).toContain('200 of 400');
    expect(html).toContain('[0.9,0.95]');
    expect(html).toContain('&lt;b&gt;&amp;&quot;');
    expect(html).not.toMatch(/NaN|Infinity|undefined|https?:|<script/);
  });

  it('can be written before anything was measured, and of a single row', () => {
    const path = newFolder();
    const run = { path, kind: 'vqgan', config: {} };
    expect(readFileSync(writeReport(run), 'utf8')).toContain('No measurements yet');
    writeFileSync(join(path, 'metrics.jsonl'), '{"step":1,"time":1.8e9,"loss":0}\n');
    const html = readFileSync(writeReport(run), 'utf8');
    expect(html).toContain('<circle');
    expect(html).not.toMatch(/NaN|Infinity|undefined/);
  });
});
