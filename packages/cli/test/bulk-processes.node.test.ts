import { unpackTar } from 'modern-tar';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataset } from '../src/data/dataset.js';
import { tarOf } from '../src/data/tar.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const main = join(repository, 'packages/cli/dist/main.js');
const example = (name: string): string => join(repository, 'packages/cli/examples', name);
const root = mkdtempSync(join(tmpdir(), 'paella-bulk-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  env?: Record<string, string>;
  /** Called with everything on stderr so far, and what kills the process at once. */
  onNote?: (stderr: string, kill: () => void) => void;
}

/** Runs a program in the tests' folder. */
async function run(program: string, args: string[], { env, onNote }: RunOptions = {}): Promise<Ended> {
  const child = spawn(program, args, { cwd: root, env: { ...process.env, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    onNote?.(stderr, () => child.kill('SIGKILL'));
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  return { code, stdout, stderr };
}

const paella = (args: string[], options?: RunOptions): Promise<Ended> =>
  run(process.execPath, [main, ...args], options);

/** Runs a command that must succeed, and reads the object it prints. */
async function json(args: string[], options?: RunOptions): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await paella([...args, '--json'], options);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** All files of a folder, and hashes of what is in them. */
const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(join(root, folder))
      .sort()
      .map((name) => [name, hash(readFileSync(join(root, folder, name)))]),
  );

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const membersOf = async (path: string): Promise<Map<string, Buffer>> =>
  new Map(
    (await unpackTar(readFileSync(join(root, path)))).map(({ header, data }) => [
      header.name,
      Buffer.from(data ?? []),
    ]),
  );

beforeAll(() => void execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: repository }));

describe('paella generate --prompts', () => {
  const settings = ['--prompts', 'prompts.jsonl', '--seed', '7', '--steps', '2', '--batch', '2'];
  const generate = (out: string, ...more: string[]): string[] => {
    return ['generate', ...settings, '--shard-size', '3', '--out', out, ...more];
  };
  const things = ['a red apple', 'a blue whale', 'a tree', 'a yellow car', 'a dog', 'a house'];
  const lines: object[] = Array.from({ length: 11 }, (_, i) => ({ prompt: things[i % 6], shelf: i }));
  lines[4] = { prompt: 'a red apple', seed: 9, negative: 'green', id: 'own' };
  let one: Record<string, unknown>;

  beforeAll(async () => {
    writeFileSync(join(root, 'prompts.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    one = await json(generate('one'));
  });

  it('draws a picture a line into tars that training reads', async () => {
    expect(one).toMatchObject({
      out: 'one',
      tars: ['generated-00000.tar', 'generated-00001.tar', 'generated-00002.tar', 'generated-00003.tar'],
      items: 11,
      skipped: 0,
      failed: 0,
      manifest: join('one', 'manifest.json'),
      seconds: expect.any(Number),
    });
    const members = await membersOf('one/generated-00001.tar');
    expect([...members.keys()]).toEqual(
      ['000003', '000004', '000005'].flatMap((key) => [`${key}.png`, `${key}.json`, `${key}.txt`]),
    );
    expect(members.get('000003.txt')!.toString()).toBe('a yellow car');
    expect(JSON.parse(members.get('000004.json')!.toString())).toMatchObject({
      prompt: 'a red apple',
      caption: 'a red apple',
      negative: 'green',
      id: 'own',
      seed: 9,
      index: 4,
      width: 64,
      height: 64,
      model: expect.any(String),
      settings: { steps: 2, cfg: expect.anything() },
    });
    expect(JSON.parse(members.get('000005.json')!.toString())).toMatchObject({ shelf: 5, seed: 7, index: 5 });
    const dataset = await openDataset(join(root, 'one'), { size: 64, shuffle: false, seed: 0 });
    const captions: string[][] = [];
    for await (const { example: item } of dataset.examples()) captions.push(item.captions);
    expect(captions).toEqual(lines.map((line) => [(line as { prompt: string }).prompt]));
  });

  it("draws a line's own seed as generate draws it", async () => {
    await json([
      'generate',
      'a red apple',
      '--seed',
      '9',
      '--negative',
      'green',
      '--steps',
      '2',
      '--out',
      'own.png',
    ]);
    const members = await membersOf('one/generated-00001.tar');
    expect(members.get('000004.png')!.equals(readFileSync(join(root, 'own.png')))).toBe(true);
  });

  it.skipIf(process.platform === 'win32')(
    'makes the same tars, to the byte, as four tasks of a Slurm array (Windows has no bash)',
    async () => {
      // The example as it is, with what stands for an installed package.
      const bin = join(root, 'bin');
      mkdirSync(bin);
      const npx = `#!/bin/sh\nshift\nexec "${process.execPath}" "${main}" "$@"\n`;
      writeFileSync(join(bin, 'npx'), npx);
      chmodSync(join(bin, 'npx'), 0o755);
      const array = /--array=0-(\d)/.exec(readFileSync(example('generate.slurm.sh'), 'utf8'));
      expect(array?.[1]).toBe('3');
      const task = (index: number): Promise<Ended> => {
        const args = ['prompts.jsonl', 'four', '--steps', '2', '--batch', '2', '--shard-size', '3', '--json'];
        const env = {
          PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`,
          SLURM_ARRAY_TASK_ID: String(index),
          SLURM_ARRAY_TASK_MIN: '0',
          SLURM_ARRAY_TASK_COUNT: '4',
        };
        return run('bash', [example('generate.slurm.sh'), ...args], { env });
      };
      const ended = await Promise.all([0, 1, 2, 3].map(task));
      const results = ended.map(({ code, stdout, stderr }) => {
        expect(code, stderr).toBe(0);
        return JSON.parse(stdout) as { shard: string; items: number; manifest: string | null };
      });
      expect(results.map(({ shard, items }) => [shard, items])).toEqual([
        ['0/4', 3],
        ['1/4', 3],
        ['2/4', 3],
        ['3/4', 2],
      ]);
      expect(results.some(({ manifest }) => manifest !== null)).toBe(true);
      expect(filesOf('four')).toEqual(filesOf('one'));
    },
  );

  it('goes on after a process was killed, and makes the same', async () => {
    let noted = '';
    const killed = await paella(generate('killed'), {
      onNote(stderr, kill) {
        noted = stderr;
        if (stderr.includes('generated-00000.tar')) kill();
      },
    });
    expect(killed.code).toBeNull();
    expect(noted).toMatch(/generated-00000\.tar \(1\/4\): [\d.]+ items\/s, .+ left/);
    const there = readdirSync(join(root, 'killed'));
    expect(there).toContain('generated-00000.json');
    expect(there).not.toContain('manifest.json');
    const rest = await json(generate('killed'));
    expect(Number(rest.items) + Number(rest.skipped)).toBe(11);
    expect(rest.skipped).toBeGreaterThanOrEqual(3);
    expect(filesOf('killed')).toEqual(filesOf('one'));
  });

  it('refuses to go on with other settings or other prompts, and names them', async () => {
    const before = filesOf('one');
    const other = await paella(generate('one', '--steps', '3', '--cfg', 'off'));
    expect(other.code).toBe(2);
    expect(other.stderr).toContain('one was begun with other settings: steps was 2, is 3; ');
    expect(other.stderr).toMatch(/; cfg was \d+, is null/);
    writeFileSync(join(root, 'changed.jsonl'), '{"prompt": "a"}\n');
    const prompts = await paella(generate('one', '--prompts', 'changed.jsonl'));
    expect(prompts.stderr).toMatch(/prompts\.sha256 was "\w+", is "\w+"; prompts\.lines was 11, is 1/);
    const half = await paella(generate('one', '--dtype', 'f16'));
    expect(half.stderr).toContain('dtype was "f32", is "f16"');
    expect(filesOf('one')).toEqual(before);
  });

  it('counts bad lines where it is asked to, and draws several pictures a line', async () => {
    writeFileSync(join(root, 'bad.jsonl'), '{"prompt": "a dog"}\nwhat\n{"prompt": "a cat"}\n');
    const args = ['generate', '--prompts', 'bad.jsonl', '--out', 'bad', '--steps', '1', '--count', '2'];
    const refused = await paella(args);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('bad.jsonl, line 2: it is not JSON');
    const result = await json([...args, '--skip-bad-lines']);
    expect(result).toMatchObject({ items: 4, failed: 1, failures: [expect.stringMatching(/^line 2: /)] });
    const keys = [...(await membersOf('bad/generated-00000.tar')).keys()].filter((name) =>
      name.endsWith('.png'),
    );
    expect(keys).toEqual(['000000.png', '000001.png', '000004.png', '000005.png']);
  });

  it.each([
    [
      ['generate', 'x', '--prompts', 'prompts.jsonl', '--out', 'x'],
      "takes the place of the argument 'prompt'",
    ],
    [['generate', '--prompts', 'prompts.jsonl'], '--prompts needs --out'],
    [['generate', 'x', '--shard', '0/2'], '--shard goes with --prompts'],
    [['generate', '--prompts', 'prompts.jsonl', '--grid', '--out', 'x'], "with option '--grid'"],
    [['encode'], "missing required argument 'image', or --data"],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await paella(args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it('has the same count in the Kubernetes example as in its shards', () => {
    const text = readFileSync(example('generate.kubernetes.yaml'), 'utf8');
    expect(/completions: (\d+)/.exec(text)?.[1]).toBe(/auto\/(\d+)/.exec(text)?.[1]);
  });
});

describe('paella encode --data', () => {
  const picture = (i: number): Promise<Buffer> =>
    sharp({ create: { width: 70 + i, height: 64, channels: 3, background: { r: 25 * i, g: 90, b: 200 } } })
      .png()
      .toBuffer();
  const encode = (data: string, out: string, ...more: string[]): string[] => {
    return ['encode', '--data', data, '--out', out, '--batch', '2', '--size', '32x16', ...more];
  };

  beforeAll(async () => {
    mkdirSync(join(root, 'photos'));
    mkdirSync(join(root, 'shards'));
    for (let i = 0; i < 7; i++) {
      writeFileSync(join(root, 'photos', `photo.${i}.png`), await picture(i));
      writeFileSync(join(root, 'photos', `photo.${i}.txt`), `photo ${i}\nanother\n`);
    }
    writeFileSync(join(root, 'photos', 'photo.2.png'), 'no picture');
    writeFileSync(join(root, 'photos', 'photo.5.txt'), '');
    for (let shard = 0; shard < 3; shard++) {
      const members = await Promise.all(
        [0, 1, 2].map(async (i) => [
          [`k${i}.png`, await picture(shard + i)] as const,
          [`k${i}.json`, Buffer.from(shard === 1 && i === 1 ? '{' : `{"caption": "${shard}${i}"}`)] as const,
        ]),
      );
      writeFileSync(join(root, 'shards', `s-${shard}.tar`), await tarOf(members.flat()));
    }
  });

  it('writes tokens and captions; what cannot be read leaves its number free', async () => {
    const result = await json(encode('photos', 'tokens', '--shard-size', '4'));
    expect(result).toMatchObject({
      tars: ['encoded-00000.tar', 'encoded-00001.tar'],
      items: 6,
      failed: 1,
      failures: [expect.stringMatching(/^photo\.2\.png: /)],
    });
    const members = await membersOf('tokens/encoded-00000.tar');
    expect([...members.keys()].filter((name) => name.endsWith('.npy'))).toEqual([
      '00000000000.npy',
      '00000000001.npy',
      '00000000003.npy',
    ]);
    expect(JSON.parse(members.get('00000000003.json')!.toString())).toMatchObject({
      source: 'photo.3.png',
      caption: 'photo 3',
      captions: ['photo 3', 'another'],
    });
    expect(members.get('00000000003.txt')!.toString()).toBe('photo 3');
    expect([...(await membersOf('tokens/encoded-00001.tar')).keys()]).not.toContain('00001000001.txt');

    // What encode says of the picture alone.
    const args = ['encode', join('photos', 'photo.3.png'), '--size', '32x16'];
    const { tokens } = (await json(args)) as { tokens: number[][] };
    const array = members.get('00000000003.npy')!;
    expect(array.subarray(10, 128).toString()).toContain("'<u2', 'fortran_order': False, 'shape': (4, 8)");
    const values = Array.from({ length: 32 }, (_, i) => array.readUInt16LE(128 + 2 * i));
    const differing = values.filter((value, i) => value !== tokens.flat()[i]);
    expect(differing.length).toBeLessThanOrEqual(3); // two libraries scale the picture
  });

  it('makes a tar of each of the source, the same in shards, over any transport', async () => {
    await json(encode('shards', 'whole'));
    const shards = ['0/2', '1/2'].map((shard) => json(encode('shards', 'halves', '--shard', shard)));
    const results = await Promise.all(shards);
    expect(results.map(({ items }) => items)).toEqual([6, 2]);
    expect(results[1].failures).toEqual([expect.stringMatching(/^s-1\.tar\/k1: .*not JSON/)]);
    expect(filesOf('halves')).toEqual(filesOf('whole'));

    let answers = false;
    const server = createServer((request, response) => {
      if (!answers && request.url === '/s-1.tar') response.writeHead(503).end();
      else response.end(readFileSync(join(root, 'shards', request.url!)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const served = encode(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/s-{0..2}.tar`,
      'served',
    );
    const failed = await paella(served);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/s-1\.tar cannot be read: the server answered 503/);
    expect(failed.stderr).toContain('1 tars could not be made: encoded-00001.tar');
    answers = true;
    expect(await json(served)).toMatchObject({ items: 2, skipped: 6 });
    server.close();
    expect(filesOf('served')).toEqual(filesOf('whole'));
  });
});
