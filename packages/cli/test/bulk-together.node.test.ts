import { execFileSync } from 'node:child_process';
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
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, type Job, findLauncher, launch } from '../../../test/mpirun.js';
import { tarOf } from '../src/data/tar.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const main = join(repository, 'packages/cli/dist/main.js');
const root = mkdtempSync(join(tmpdir(), 'paella-together-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const launcher = findLauncher('Open MPI') ?? findLauncher('MPICH');
const paella = [process.execPath, main];

/** Starts processes; `$RANK` of a shell says which one it is. */
const start = (processes: number, program: string[], cwd = root): Job =>
  launch(launcher!, processes, program, { cwd });
const inShell = (script: string, args: string[]): string[] => {
  return ['sh', '-c', `RANK=\${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; ${script}`, 'sh', ...paella, ...args];
};

/** Runs a command that must succeed, and reads the one object that its processes print. */
async function json(processes: number, args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await start(processes, [...paella, ...args, '--json']).ended;
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** Starts a command, sends a signal to one of its processes when a file has appeared, and waits for all. */
async function interrupt(
  processes: number,
  args: string[],
  { file, rank, signal }: { file: string; rank: number; signal: NodeJS.Signals },
): Promise<Ended & { milliseconds: number }> {
  const pids = mkdtempSync(join(root, 'pids-'));
  const job = start(processes, inShell(`echo $$ > ${pids}/$RANK; exec "$@"`, args));
  while (!existsSync(join(root, file))) await sleep(20);
  const since = performance.now();
  process.kill(Number(readFileSync(join(pids, String(rank)), 'utf8')), signal);
  const ended = await job.ended;
  return { ...ended, milliseconds: performance.now() - since };
}

/** All files of a folder, and hashes of what is in them. */
const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(join(root, folder))
      .sort()
      .map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(join(root, folder, name)))
          .digest('hex'),
      ]),
  );

describe.skipIf(!launcher)('bulk work under mpirun (skipped where there is none)', () => {
  const settings = ['--prompts', 'prompts.jsonl', '--skip-bad-lines', '--seed', '7', '--steps', '1'];
  const generate = (out: string, ...more: string[]): string[] => {
    return ['generate', ...settings, '--batch', '2', '--shard-size', '2', '--out', out, ...more];
  };
  const names = (tars: number[]): string[] => tars.map((tar) => `generated-0000${tar}.tar`);
  let one: Record<string, unknown>;

  beforeAll(async () => {
    execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: repository });
    const things = ['a red apple', 'a blue whale', 'a tree'];
    const lines = Array.from({ length: 15 }, (_, i) => JSON.stringify({ prompt: things[i % 3], shelf: i }));
    lines[9] = '{"prompt": 9}';
    writeFileSync(join(root, 'prompts.jsonl'), `${lines.join('\n')}\n`);
    one = await json(1, generate('one'));
  });

  it('draws in three processes what one draws, and says the same', async () => {
    const many = await json(3, generate('many'));
    expect(one).toMatchObject({ tars: names([0, 1, 2, 3, 4, 5, 6, 7]), items: 14, failed: 1 });
    const { seconds } = many;
    expect(many).toEqual({ ...one, out: 'many', manifest: join('many', 'manifest.json'), seconds });
    expect(filesOf('many')).toEqual(filesOf('one'));
  });

  it('draws the same by the example for Slurm', () => {
    // The example as it is, with what stands for an installed package and for Slurm.
    const bin = join(root, 'node_modules/.bin');
    mkdirSync(bin, { recursive: true });
    const { command, flags } = launcher!;
    const srun = [
      'while [ "${1#--}" != "$1" ]; do shift; done',
      `exec ${command} ${flags.join(' ')} -n 2 "$@"`,
    ];
    const programs = { paella: [`exec "${process.execPath}" "${main}" "$@"`], srun };
    for (const [name, lines] of Object.entries(programs)) {
      writeFileSync(join(bin, name), ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
    }
    const [, , ...more] = settings;
    const args = ['prompts.jsonl', 'slurm', ...more, '--batch', '2', '--shard-size', '2'];
    const example = join(repository, 'packages/cli/examples/generate.mpi.slurm.sh');
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}` };
    execFileSync('bash', [example, ...args], { cwd: root, env, stdio: 'pipe' });
    expect(filesOf('slurm')).toEqual(filesOf('one'));
  });

  it('shares out what a task of an array has', async () => {
    const second = await json(2, generate('halves', '--shard', '1/2'));
    expect(second).toMatchObject({ shard: '1/2', tars: names([1, 3, 5, 7]), items: 7, manifest: null });
    const first = await json(3, generate('halves', '--shard', '0/2'));
    expect(first).toMatchObject({ shard: '0/2', tars: names([0, 2, 4, 6]), failed: 1 });
    expect(filesOf('halves')).toEqual(filesOf('one'));
  });

  it('ends when one process is killed, and makes the rest the next time', async () => {
    const killed = await interrupt(3, generate('killed'), {
      file: 'killed/generated-00000.json',
      rank: 1,
      signal: 'SIGKILL',
    });
    expect(killed.code).not.toBe(0);
    expect(killed.milliseconds).toBeLessThan(30_000);
    expect(killed.stderr).toMatch(/rank 1 .*(is gone|exited on signal 9)/);
    expect(filesOf('killed')).not.toHaveProperty('manifest.json');
    const rest = await json(2, generate('killed'));
    expect(rest.skipped).toBeGreaterThanOrEqual(2);
    expect(Number(rest.items) + Number(rest.skipped)).toBe(14);
    expect(filesOf('killed')).toEqual(filesOf('one'));
  });

  it('lets the others finish when one is asked to stop', async () => {
    const stopped = await interrupt(2, generate('stopped', '--json'), {
      file: 'stopped/generated-00000.json',
      rank: 0,
      signal: 'SIGTERM',
    });
    expect(stopped.code).toBe(130);
    expect(JSON.parse(stopped.stdout)).toMatchObject({ error: { code: 'aborted' } });
    expect(stopped.stderr).toMatch(/stopped with [123] tars to go; complete ones stay/);
    expect(Object.keys(filesOf('stopped'))).toEqual(expect.arrayContaining(names([0, 1, 3, 5, 7])));
  });

  it('refuses processes of different options, and names both', async () => {
    const args = generate('different');
    const different = await start(2, inShell('exec "$@" --steps $((RANK + 1))', args)).ended;
    expect(different.code).toBe(2);
    expect(different.stderr.match(/steps is 1 in rank 0, and 2 in rank 1/g)).toHaveLength(1);
    expect(readdirSync(root)).not.toContain('different');
  });

  it('says which tars are missing where hosts have folders of their own', async () => {
    mkdirSync(join(root, 'hosts', '0'), { recursive: true });
    mkdirSync(join(root, 'hosts', '1'));
    const prompts = join(root, 'prompts.jsonl');
    const args = generate('here', '--prompts', prompts);
    const apart = await start(2, inShell('cd $RANK && exec "$@"', args), join(root, 'hosts')).ended;
    expect(apart.code).toBe(2);
    const missing = names([1, 3, 5, 7]).join(', ');
    expect(apart.stderr).toContain(
      `rank 0 doesn't see 4 of the tars that the others made: ${missing}. --out here must be`,
    );
    expect(apart.stderr.match(/--out here/g)).toHaveLength(1);
    for (const name of readdirSync(join(root, 'hosts/1/here'))) {
      writeFileSync(join(root, 'hosts/0/here', name), readFileSync(join(root, 'hosts/1/here', name)));
    }
    await json(1, generate(join('hosts/0/here')));
    expect(filesOf('hosts/0/here')).toEqual(filesOf('one'));
  });

  it('encodes as one process does, and goes on without what a server withholds', async () => {
    const picture = (i: number): Promise<Buffer> =>
      sharp({ create: { width: 40, height: 40, channels: 3, background: { r: 25 * i, g: 90, b: 200 } } })
        .png()
        .toBuffer();
    const shards = new Map<string, Uint8Array>();
    for (let shard = 0; shard < 4; shard++) {
      const members = [0, 1, 2].map(async (i) => [
        [
          `k${i}.png`,
          shard === 3 && i === 1 ? Buffer.from('no picture') : await picture(shard + 2 * i),
        ] as const,
        [`k${i}.txt`, Buffer.from(`picture ${i} of ${shard}`)] as const,
      ]);
      shards.set(`/s-${shard}.tar`, await tarOf((await Promise.all(members)).flat()));
    }
    let answers = true;
    const server = createServer((request, response) => {
      if (!answers && request.url === '/s-1.tar') response.writeHead(503).end();
      else response.end(shards.get(request.url!));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const source = `http://127.0.0.1:${(server.address() as AddressInfo).port}/s-{0..3}.tar`;
    const encode = (out: string): string[] => {
      return ['encode', '--data', source, '--out', out, '--batch', '2', '--size', '32x16'];
    };
    const alone = await json(1, encode('tokens'));
    expect(alone).toMatchObject({ items: 11, failed: 1 });
    answers = false;
    const failed = await start(2, [...paella, ...encode('shared')]).ended;
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(
      /1 tars could not be made: encoded-00001\.tar \(\S*s-1\.tar cannot be read: the server answered 503/,
    );
    expect(Object.keys(filesOf('shared')).filter((name) => name.endsWith('.tar'))).toHaveLength(3);
    answers = true;
    expect(await json(2, encode('shared'))).toMatchObject({ items: 3, skipped: 8, failed: 1 });
    server.close();
    expect(filesOf('shared')).toEqual(filesOf('tokens'));
  });
});
