import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadStateDict } from '@paella/tensor';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCommandLine } from '../src/program.js';
import { tinyPaella as paella, tinyVqgan as vqgan } from './tiny-runs.js';

const root = mkdtempSync(join(tmpdir(), 'paella-train-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const data = join(root, 'data');
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

const imageEncoder = {
  model: { image_size: 32, patch_size: 4, c_hidden: [8, 16], embed_dim: 64 },
  training: { batch_size: 4, checkpoint_every: 3, grid_every: 6, log_every: 1, steps: 6, warmup_steps: 2 },
  data: { size: 32, split: '' },
  sampling: { steps: 2 },
};

const config = (name: string, content: object): string => {
  const path = join(root, `${name}.json`);
  writeFileSync(path, JSON.stringify(content));
  return path;
};

beforeAll(async () => {
  mkdirSync(data);
  for (let i = 0; i < 20; i++) {
    const background = { r: 12 * i, g: 255 - 12 * i, b: (37 * i) % 256 };
    const picture = sharp({ create: { width: 40, height: 36, channels: 3, background } });
    const spot = {
      create: { width: 14, height: 14, channels: 3 as const, background: { r: 250, g: 9 * i, b: 20 } },
    };
    await picture
      .composite([{ input: spot, left: i, top: 5 }])
      .png()
      .toFile(join(data, `p${i}.png`));
    writeFileSync(join(data, `p${i}.txt`), `spot number ${i}\n`);
  }
});

const train = (kind: string, out: string, file: string, ...more: string[]): Promise<number> =>
  runCommandLine(
    ['train', kind, '--data', data, '--config', file, '--out', join(root, out), '--quiet', ...more],
    '0',
  );

/** Every tensor of a run's newest checkpoint. */
async function weights(out: string): Promise<Map<string, number[]>> {
  const folder = join(root, out, 'checkpoints');
  const newest = readdirSync(folder)
    .filter((name) => name.startsWith('step-'))
    .sort()
    .at(-1)!;
  const all = new Map<string, number[]>();
  for (const part of readdirSync(join(folder, newest)).filter((name) => name.endsWith('.safetensors'))) {
    const state = await loadStateDict(join(folder, newest, part));
    for (const key of state.keys())
      all.set(
        `${part}/${key}`,
        Array.from((await state.get(key)).data as ArrayLike<number | bigint>, Number),
      );
  }
  return all;
}

describe.each([
  [
    'vqgan',
    () => config('vqgan', vqgan),
    () => config('vqgan-short', { ...vqgan, training: { ...vqgan.training, steps: 3 } }),
    [] as string[],
  ],
  [
    'paella',
    () => config('paella', paella),
    () => config('paella-short', { ...paella, training: { ...paella.training, steps: 3 } }),
    ['--vqgan', join(root, 'vqgan-whole')],
  ],
  [
    'image-encoder',
    () => config('image-encoder', imageEncoder),
    () =>
      config('image-encoder-short', {
        ...imageEncoder,
        training: { ...imageEncoder.training, steps: 3 },
      }),
    [] as string[],
  ],
] as const)('paella train %s', (kind, whole, short, more) => {
  it('learns, and leaves checkpoints, metrics, events, pictures, a report and a model', async () => {
    expect(await train(kind, `${kind}-whole`, whole(), ...more)).toBe(0);
    const run = join(root, `${kind}-whole`);
    expect(readdirSync(join(run, 'checkpoints'))).toEqual(['step-00000003', 'step-00000006']);
    const rows = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const metrics = rows.map((line) => JSON.parse(line) as Record<string, number>);
    expect(metrics.filter(({ loss }) => loss > 0).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    const names =
      kind === 'vqgan'
        ? ['psnr', 'ssim', 'codes_used', 'code_perplexity']
        : ['accuracy', 'loss_noise_75-100'];
    for (const name of [...names, 'grad_norm', 'learning_rate', 'images_per_second', 'memory_mb']) {
      expect(
        metrics.some((row) => Number.isFinite(row[name])),
        name,
      ).toBe(true);
    }
    expect(readdirSync(join(run, 'grids'))).toHaveLength(1);
    expect(readdirSync(join(run, 'tensorboard'))).toHaveLength(1);
    expect(readFileSync(join(run, 'report.html'), 'utf8')).toMatch(/<svg.*grad_norm/s);
    const { sha256 } = JSON.parse(readFileSync(join(run, 'model', 'model.json'), 'utf8'));
    const files = readdirSync(join(run, 'model')).filter((file) => file !== 'model.json');
    expect(Object.keys(sha256).sort()).toEqual(files.sort());
    for (const file of files) {
      const content = readFileSync(join(run, 'model', file));
      expect(createHash('sha256').update(content).digest('hex'), file).toBe(sha256[file]);
    }
    expect(existsSync(join(run, 'lock'))).toBe(false);
  });

  it('ends with the same weights, bit for bit, when it was interrupted at a checkpoint', async () => {
    expect(await train(kind, `${kind}-cut`, short(), ...more)).toBe(0);
    expect(await train(kind, `${kind}-cut`, whole(), '--resume', ...more)).toBe(0);
    const [cut, uncut] = [await weights(`${kind}-cut`), await weights(`${kind}-whole`)];
    expect([...cut.keys()]).toEqual([...uncut.keys()]);
    for (const [key, values] of uncut) expect(cut.get(key), key).toEqual(values);
  });

  it('refuses another configuration, another kind, and a folder that holds a run', async () => {
    const other = config('other', { ...vqgan, training: { ...vqgan.training, learning_rate: 1 } });
    expect(await train(kind, `${kind}-whole`, whole(), ...more)).toBe(2);
    if (kind === 'vqgan') expect(await train(kind, 'vqgan-whole', other, '--resume')).toBe(2);
    else expect(await train('vqgan', `${kind}-whole`, other, '--resume')).toBe(2);
  });
});

describe('a trained model', () => {
  it('draws pictures with paella generate', async () => {
    const out = join(root, 'picture.png');
    const model = join(root, 'paella-whole', 'model');
    expect(await runCommandLine(['generate', 'spot', '--model', model, '--out', out, '--quiet'], '0')).toBe(
      0,
    );
    expect((await sharp(out).metadata()).width).toBe(32);
  });

  it('looks at pictures with paella vary', async () => {
    const out = join(root, 'variation.png');
    const model = join(root, 'image-encoder-whole', 'model');
    const command = ['vary', join(data, 'p0.png'), '--model', model, '--size', '32x32'];
    expect(await runCommandLine([...command, '--out', out, '--quiet'], '0')).toBe(0);
    expect((await sharp(out).metadata()).width).toBe(32);
  });

  it('learns in mixed precision too', async () => {
    const file = config('mixed', {
      ...paella,
      training: { ...paella.training, steps: 3, precision: 'mixed' },
    });
    expect(await train('paella', 'mixed', file, '--vqgan', join(root, 'vqgan-whole'))).toBe(0);
    const rows = readFileSync(join(root, 'mixed', 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n');
    const last = JSON.parse(rows.at(-2)!) as Record<string, number>;
    expect(last.loss).toBeGreaterThan(0);
    expect(last.loss_scale).toBeGreaterThan(1);
    const short = config('vqgan-mixed', { ...vqgan, training: { ...vqgan.training, steps: 3 } });
    expect(await train('vqgan', 'vqgan-mixed', short, '--dtype', 'f16')).toBe(0);
    const run = JSON.parse(readFileSync(join(root, 'vqgan-mixed', 'run.json'), 'utf8')) as {
      config: { training: { precision: string } };
    };
    expect(run.config.training.precision).toBe('mixed');
  });
});

describe('a run whose numbers overflow', () => {
  it.each(['vqgan', 'paella'] as const)('stops, naming step, layer and checkpoint: %s', async (kind) => {
    const base = kind === 'vqgan' ? vqgan : paella;
    const training = {
      ...base.training,
      learning_rate: 1e30,
      warmup_steps: 0,
      steps: 5,
      checkpoint_every: 1,
    };
    const file = config(`${kind}-hot`, { ...base, training });
    const written: string[] = [];
    const stderr = vi
      .spyOn(process.stderr, 'write')
      .mockImplementation((text) => written.push(String(text)) > 0);
    const more = kind === 'paella' ? ['--vqgan', join(root, 'vqgan-whole')] : [];
    try {
      expect(await train(kind, `${kind}-hot`, file, ...more)).toBe(1);
    } finally {
      stderr.mockRestore();
    }
    expect(written.join('')).toMatch(
      /step \d: the loss is .*it begins in .*(weight|bias|gammas|beta|gamma).*checkpoints/s,
    );
    // What the failed step would have changed is as it was.
    for (const [key, values] of await weights(`${kind}-hot`))
      expect(values.every(Number.isFinite), key).toBe(true);
  });
});

describe('a run that is killed', () => {
  it.skipIf(!existsSync(main))(
    'goes on from its newest whole checkpoint (skipped where nothing is built)',
    async () => {
      const file = config('endless', {
        ...vqgan,
        training: { ...vqgan.training, steps: 100_000, checkpoint_every: 1, grid_every: 100_000 },
      });
      const out = join(root, 'killed');
      const args = ['train', 'vqgan', '--data', data, '--config', file, '--out', out];
      let before = 0;
      for (let round = 0; round < 2; round++) {
        const child: ChildProcess = spawn('node', [main, ...args, ...(round > 0 ? ['--resume'] : [])], {
          stdio: 'ignore',
        });
        const ended = new Promise((resolve) => child.on('exit', resolve));
        await until(() => newestStep(out) > before + 1, child);
        // Somewhere in the middle of a step, or of writing a checkpoint.
        await new Promise((resolve) => setTimeout(resolve, 137 * (round + 1)));
        child.kill('SIGKILL');
        await ended;
        expect(newestStep(out)).toBeGreaterThan(before);
        before = newestStep(out);
      }
      const steps = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
        .split('\n')
        .flatMap((line) => /^\{"step":(\d+)/.exec(line)?.[1] ?? [])
        .map(Number);
      expect(steps).toEqual([...steps].sort((a, b) => a - b));
      expect(new Set(steps).size).toBe(steps.length);
    },
  );
});

const newestStep = (out: string): number =>
  existsSync(join(out, 'checkpoints'))
    ? Math.max(
        0,
        ...readdirSync(join(out, 'checkpoints')).map((name) => Number(/^step-(\d+)$/.exec(name)?.[1] ?? 0)),
      )
    : 0;

async function until(condition: () => boolean, child: ChildProcess): Promise<void> {
  while (!condition()) {
    if (child.exitCode !== null) throw new Error(`training ended by itself with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
