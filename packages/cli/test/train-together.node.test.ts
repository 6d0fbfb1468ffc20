import { type StateDict, loadStateDict } from '@paella/tensor';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { twoHosts, whyNoHosts } from '../../../test/hosts.js';
import { type Ended, type Job, type Launcher, findLauncher, launch } from '../../../test/mpirun.js';
import { readMetrics } from '../src/run/metrics.js';
import { tinyPaella, tinyVqgan } from './tiny-runs.js';

const launcher = findLauncher('Open MPI')!;
const repository = fileURLToPath(new URL('../../../', import.meta.url));
const main = join(repository, 'packages/cli/dist/main.js');
const loseDevice = fileURLToPath(new URL('../../tensor/test/lose-device.mjs', import.meta.url));
const slowDisk = fileURLToPath(new URL('slow-disk.mjs', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'paella-together-'));
const obstacle = whyNoHosts();
const jobs: Job[] = [];

const paella = (batch_size: number, training: object = {}): object => ({
  ...tinyPaella,
  model: { ...tinyPaella.model, num_labels: 1024 }, // of the embedded VQGAN
  training: {
    ...tinyPaella.training,
    batch_size,
    steps: 20,
    checkpoint_every: 5,
    grid_every: 1000,
    compare_every: 1,
    ...training,
  },
});

const configs = {
  vqgan: { ...tinyVqgan, training: { ...tinyVqgan.training, compare_every: 1 } },
  'batch-2': paella(2),
  'batch-4': paella(4),
  endless: paella(2, { steps: 1_000_000, checkpoint_every: 3, keep_checkpoints: 3 }),
};

const command = (out: string, name: Exclude<keyof typeof configs, 'vqgan'>, ...more: string[]): string[] =>
  [main, 'train', 'paella', '--data', join(root, 'data'), '--config', `${name}.json`, '--out', out].concat(
    more,
  );

/** Starts a command of Node's in several processes. */
function start(
  size: number,
  args: readonly string[],
  env: Record<string, string> = {},
  by: Launcher = launcher,
): Job {
  const job = launch(by, size, [process.execPath, ...args], { cwd: root, env });
  jobs.push(job);
  return job;
}

async function succeed(job: Job): Promise<Ended> {
  const ended = await job.ended;
  expect(ended.code, ended.stderr).toBe(0);
  return ended;
}

const checkpoints = (out: string): string[] => {
  const folder = join(root, out, 'checkpoints');
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .filter((name) => name.startsWith('step-'))
    .sort()
    .map((name) => join(folder, name));
};

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(50);
}

/** All parts of a run's newest checkpoint but the optimizer's counters. */
async function weights(out: string): Promise<Map<string, Float32Array>> {
  const folder = checkpoints(out).at(-1)!;
  const all = new Map<string, Float32Array>();
  for (const part of readdirSync(folder).filter((name) => name.endsWith('.safetensors'))) {
    const state: StateDict = await loadStateDict(join(folder, part));
    for (const key of state.keys()) {
      if (!key.startsWith('step.')) all.set(`${part} ${key}`, (await state.get(key)).data as Float32Array);
    }
  }
  return all;
}

/** ‖a − b‖ / ‖a‖ over all tensors of a part of a checkpoint. */
function distance(a: Map<string, Float32Array>, b: Map<string, Float32Array>, part: string): number {
  let [difference, norm] = [0, 0];
  for (const [key, values] of a) {
    if (!key.startsWith(`${part}.safetensors `)) continue;
    values.forEach((value, i) => {
      difference += (value - b.get(key)![i]) ** 2;
      norm += value ** 2;
    });
  }
  return Math.sqrt(difference / norm);
}

afterAll(() => {
  for (const job of jobs) job.kill();
  rmSync(root, { recursive: true, force: true });
});

describe.skipIf(!launcher)('training by several processes (skipped where there is no Open MPI)', () => {
  beforeAll(async () => {
    execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: repository });
    for (const [name, content] of Object.entries(configs)) {
      writeFileSync(join(root, `${name}.json`), JSON.stringify(content));
    }
    mkdirSync(join(root, 'data'));
    for (let i = 0; i < 20; i++) {
      const background = { r: 12 * i, g: 255 - 12 * i, b: (37 * i) % 256 };
      const picture = sharp({ create: { width: 32, height: 32, channels: 3, background } });
      await picture.png().toFile(join(root, 'data', `p${i}.png`));
      writeFileSync(join(root, 'data', `p${i}.txt`), `picture number ${i}\n`);
    }
    await succeed(start(2, command('two', 'batch-2')));
  });

  it('ends where one process with the whole batch ends, after 20 steps', async () => {
    await succeed(start(1, command('one', 'batch-4')));
    const [one, two] = [await weights('one'), await weights('two')];
    expect([...two.keys()]).toEqual([...one.keys()]);
    for (const part of ['model', 'ema', 'text', 'text_ema', 'optimizer']) {
      expect(distance(one, two, part), part).toBeLessThan(1e-5);
    }
    const losses = (out: string): number[] =>
      readMetrics(join(root, out, 'metrics.jsonl')).flatMap((row) => row.loss ?? []);
    expect(losses('one')).toHaveLength(20);
    expect(losses('two')).toEqual(losses('one').map((loss) => expect.closeTo(loss, 5) as number));
  });

  it('stops on SIGTERM with a checkpoint, from which it ends with the same weights to the bit', async () => {
    const job = start(2, command('stopped', 'batch-2'));
    await until(() => checkpoints('stopped').length > 0);
    job.signal(1, 'SIGTERM');
    const { code, stderr } = await job.ended;
    expect(code).toBe(130);
    expect(stderr).toMatch(/stopped after step \d+; --resume goes on from there/);
    await succeed(start(2, command('stopped', 'batch-2', '--resume')));
    expect(await weights('stopped')).toEqual(await weights('two'));
  });

  it('goes on with another number of processes', async () => {
    const { stderr } = await succeed(
      start(3, command('two', 'batch-2', '--resume', '--steps', '22', '--quiet')),
    );
    expect(stderr).toBe('');
    await succeed(start(1, command('two', 'batch-2', '--resume', '--steps', '24')));
    const rows = readMetrics(join(root, 'two', 'metrics.jsonl'));
    expect(rows.map(({ step }) => step)).toEqual(expect.arrayContaining([20, 21, 22, 23, 24]));
  });

  it('trains a VQGAN too: equal in all, and from a checkpoint on with the same bits', async () => {
    const vqgan = (out: string, ...more: string[]): string[] =>
      [main, 'train', 'vqgan', '--data', 'data', '--config', 'vqgan.json', '--out', out].concat(more);
    await succeed(start(2, vqgan('codec')));
    await succeed(start(2, vqgan('halves', '--steps', '3')));
    await succeed(start(2, vqgan('halves', '--steps', '6', '--resume')));
    expect(await weights('halves')).toEqual(await weights('codec'));
  });

  it('refuses processes that were started otherwise than the first', async () => {
    const other = [process.execPath, ...command('unlike', 'batch-4')];
    const { code, stderr } = await start(1, [...command('unlike', 'batch-2'), ':', '-n', '1', ...other])
      .ended;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/command is ".* batch-2.json .*" in rank 0, and ".* batch-4.json .*" in rank 1/);
    expect(existsSync(join(root, 'unlike'))).toBe(false);
  });

  // What takes long is waiting: all at the same time.
  describe.concurrent('ends everywhere within half a minute, and names the last checkpoint,', () => {
    const failures: {
      what: string;
      wreck: (job: Job) => void;
      env?: Record<string, string>;
      says: RegExp;
    }[] = [
      {
        what: 'rank 0 is stopped',
        wreck: (job) => job.signal(0, 'SIGSTOP'),
        says: /rank 0 .* has said nothing/,
      },
      {
        what: 'rank 1 is stopped',
        wreck: (job) => job.signal(1, 'SIGSTOP'),
        says: /rank 1 .* has said nothing/,
      },
      // On a slow disk: the checkpoint that the test waits for is there before anybody has heard that it is.
      {
        what: 'rank 0 is killed while it saves',
        env: { NODE_OPTIONS: `--import ${slowDisk}` },
        wreck: (job) => job.signal(0, 'SIGKILL'),
        says: /rank 0 .* is gone/,
      },
      {
        what: 'rank 1 is killed while rank 0 saves',
        env: { NODE_OPTIONS: `--import ${slowDisk}` },
        wreck: (job) => job.signal(1, 'SIGKILL'),
        says: /rank 1 .* is gone/,
      },
      {
        what: 'rank 1 loses its device',
        env: { NODE_OPTIONS: `--import ${loseDevice}`, LOSE_DEVICE: `1 ${root}/lose` },
        wreck: () => writeFileSync(join(root, 'lose'), ''),
        says: /rank 1: the device was lost/,
      },
    ];
    it.each(failures)('when $what', async ({ what, wreck, env, says }) => {
      const out = what.replaceAll(' ', '-');
      const job = start(2, command(out, 'endless'), env);
      await until(() => checkpoints(out).length > 1);
      wreck(job);
      const since = performance.now();
      const { code, stderr } = await job.ended;
      expect(code).not.toBe(0);
      expect(performance.now() - since).toBeLessThan(30_000);
      expect(stderr).toMatch(says);
      expect(stderr).toContain(`--resume goes on from ${relative(root, checkpoints(out).at(-1)!)}`);
    });

    it('when rank 0 is killed, whose folder the other does not see', async () => {
      mkdirSync(join(root, 'elsewhere'));
      symlinkSync(join(root, 'endless.json'), join(root, 'elsewhere/endless.json'));
      const apart = ['sh', '-c', '[ $OMPI_COMM_WORLD_RANK = 0 ] || cd elsewhere; exec "$@"', 'sh'];
      const program = [...apart, process.execPath, ...command('apart', 'endless')];
      const job = launch(launcher, 2, program, { cwd: root });
      jobs.push(job);
      await until(() => checkpoints('apart').length > 2);
      job.signal(0, 'SIGKILL');
      const { stderr } = await job.ended;
      const [, named] = /--resume goes on from (\S+)/.exec(stderr) ?? [];
      const saved = checkpoints('apart').map((path) => relative(root, path));
      expect(saved.slice(-2)).toContain(named); // of the last one, rank 1 may not have heard
    });

    it.skipIf(obstacle)(
      `when the cable between its two hosts is cut (skipped where they cannot be: ${obstacle ?? 'they can'})`,
      async () => {
        const hosts = twoHosts();
        try {
          const job = start(2, command('cable', 'endless'), {}, hosts.launcher);
          await until(() => checkpoints('cable').length > 1);
          hosts.cut();
          const since = performance.now();
          await until(() => job.living().length === 0);
          expect(performance.now() - since).toBeLessThan(30_000);
          job.kill(); // mpirun waits for the other host
          const { stderr } = await job.ended;
          const saved = relative(root, checkpoints('cable').at(-1)!);
          expect(stderr).toContain(`rank 1 (${hosts.names[1]}) has said nothing`);
          expect(stderr).toContain(`--resume goes on from ${saved}`);
          const more = Number(/\d+$/.exec(saved)![0]) + 2;
          await succeed(start(2, command('cable', 'endless', '--resume', '--steps', String(more))));
          expect(checkpoints('cable').at(-1)).toMatch(new RegExp(`${more}$`));
        } finally {
          hosts.close();
        }
      },
    );
  });
});
