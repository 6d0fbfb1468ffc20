import { decode as decodePng, encode as encodePng } from 'fast-png';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import * as parse from '../src/options.js';
import { runCommandLine } from '../src/program.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Runs the built command. */
async function paella(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(root, 'packages/cli/dist/main.js'), ...args], { cwd: folder });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  return { code, stdout, stderr };
}

/** Runs a command line in this process, which is quick where it opens no device. */
async function here(args: string[]): Promise<{ code: number; written: string }> {
  let written = '';
  const take = (chunk: unknown): boolean => {
    written += String(chunk);
    return true;
  };
  const spies = [process.stdout, process.stderr].map((to) => vi.spyOn(to, 'write').mockImplementation(take));
  try {
    return { code: await runCommandLine(args, '0'), written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** Runs a command that must succeed, and reads the object it prints. */
async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await paella(...args, '--json', '--seed', '7', '--steps', '2');
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

const pixels = async (name: string): Promise<{ width: number; height: number; data: ArrayLike<number> }> =>
  decodePng(await readFile(join(folder, name)));

let folder: string;

beforeAll(() => void execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: root }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'paella-edit-'));
  const disc = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % 64, Math.floor(i / 192)];
    return i % 3 > 0 && Math.hypot(x - 32, y - 32) < 20 ? 40 : 250;
  });
  await writeFile(join(folder, 'disc.png'), encodePng({ width: 64, height: 64, data: disc, channels: 3 }));
  const mask = Uint8Array.from({ length: 64 * 64 }, (_, i) => (i % 64 < 32 ? 255 : 0));
  await writeFile(join(folder, 'mask.png'), encodePng({ width: 64, height: 64, data: mask, channels: 1 }));
  return () => rm(folder, { recursive: true, force: true });
});

describe('the commands that edit', () => {
  it('inpaint changes nothing outside of its mask', async () => {
    const args = ['--mask', 'mask.png', '--out', 'left.png', '--animate', 'left.gif'];
    expect(await json('inpaint', 'disc.png', 'a blue whale', ...args)).toMatchObject({
      images: ['left.png', 'left.gif'],
      seed: 7,
      width: 64,
      height: 64,
      steps: 2,
      adapter: expect.any(String),
      seconds: expect.any(Number),
    });
    const [before, after] = [await pixels('disc.png'), await pixels('left.png')];
    const changed = Array.from({ length: 64 * 64 }, (_, i) => i).filter((i) =>
      [0, 1, 2].some((c) => before.data[3 * i + c] !== after.data[3 * i + c]),
    );
    expect(changed.length).toBeGreaterThan(0);
    expect(changed.every((i) => i % 64 < 32)).toBe(true);
  });

  it('outpaint makes a larger picture around the given one', async () => {
    const result = await json(
      'outpaint',
      'disc.png',
      'a sunset',
      '--size',
      '96x64',
      '--at',
      '0,0',
      '--out',
      'o.png',
    );
    expect(result).toMatchObject({ images: ['o.png'], width: 96, height: 64 });
    const [before, after] = [await pixels('disc.png'), await pixels('o.png')];
    const row = (image: { data: ArrayLike<number> }, start: number) =>
      Array.from({ length: 192 }, (_, i) => image.data[start + i]);
    expect(row(after, 30 * 96 * 3)).toEqual(row(before, 30 * 64 * 3));
  });

  it('morph, interpolate and regions draw as many pictures as they say', async () => {
    const morphed = await json('morph', 'disc.png', 'an orange', '--count', '2', '--strength', '0.5');
    expect(morphed.images).toEqual(['an-orange-7-1.png', 'an-orange-7-2.png']);
    const way = ['--frames', '3', '--method', 'lerp', '--grid', '--out', 'way.png', '--animate', 'way.gif'];
    expect((await json('interpolate', 'sun', 'moon', ...way)).images).toEqual(['way.png', 'way.gif']);
    expect((await readFile(join(folder, 'way.gif'))).subarray(0, 6).toString()).toBe('GIF89a');
    expect((await pixels('way.png')).width).toBe(2 * 64 + 3 * 4);
    const regions = [
      '--region',
      '0,0,64,24:sky',
      '--region',
      'mask.png:sun',
      '--ramp',
      'vertical',
      '--to',
      'sea',
    ];
    expect((await json('generate', 'a meadow', ...regions, '--out', 'r.png')).images).toEqual(['r.png']);
  });

  it.each([
    [['inpaint', 'disc.png', 'x'], 'either --mask or --box'],
    [['inpaint', 'disc.png', 'x', '--box', '1,2,3'], 'x,y,width,height in pixels'],
    [['outpaint', 'disc.png', 'x'], '--size, perhaps with --at, or margins'],
    [['morph', 'disc.png', 'x', '--strength', '1.5'], 'above 0 and at most 1'],
    [['interpolate', 'a', 'b', '--method', 'cubic'], 'Allowed choices are lerp, slerp'],
    [['generate', 'a', '--ramp', 'vertical'], '--ramp and --to go together'],
    [['generate', 'a', '--region', 'everywhere:b'], 'x,y,width,height:prompt'],
    [['vary'], "missing required argument 'images'"],
    [['inpaint', 'x.png', 'x', '--box', '0,0,8,8', '--mask', 'm.png'], 'either --mask or --box'],
    [['outpaint', 'x.png', 'x', '--at', '0,0', '--left', '4'], '--size, perhaps with --at, or margins'],
  ])('refuse %j with exit code 2', async (args, message) => {
    const { code, written } = await here(args);
    expect(code).toBe(2);
    expect(written).toContain(message);
  });

  it.each(['inpaint', 'outpaint', 'vary', 'morph', 'interpolate'])('%s shows examples', async (command) => {
    const { code, written } = await here([command, '--help']);
    expect(code).toBe(0);
    expect(written).toContain(`  $ paella ${command}`);
  });
});

describe('region', () => {
  it('reads a box or a mask, and the rest as the prompt', () => {
    const one = parse.region('8, 0,16,24:a sun: bright', []);
    const box = { x: 8, y: 0, width: 16, height: 24 };
    expect(one).toEqual([{ area: box, prompt: 'a sun: bright' }]);
    expect(parse.region('C:\\a,b.PNG:sky', one)).toEqual([...one, { area: 'C:\\a,b.PNG', prompt: 'sky' }]);
    for (const text of ['1,2,3:x', '1,2,3,4', '1,2,3,4:', 'a.gif:x']) {
      expect(() => parse.region(text, [])).toThrow(/Expected x,y,width,height/);
    }
  });
});
