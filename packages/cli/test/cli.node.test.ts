import { type StateDict, loadStateDict } from '@paella/tensor';
import { decode as decodePng, encode as encodePng } from 'fast-png';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const golden = (name: string): string => join(root, 'packages/paella/test/golden', name);
const commands = ['doctor', 'generate', 'inspect', 'convert', 'encode', 'decode', 'reconstruct', 'serve'];

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the built command; `whenReady` is called when it first writes to stderr. */
async function paella(args: string[], whenReady?: (kill: () => void) => void): Promise<Ended> {
  const child = spawn(process.execPath, [join(root, 'packages/cli/dist/main.js'), ...args], { cwd: folder });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr === '') whenReady?.(() => child.kill('SIGINT'));
    stderr += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  return { code, stdout, stderr };
}

/** Runs a command that must succeed, and reads the object it prints. */
async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await paella([...args, '--json']);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

let folder: string;

beforeAll(() => void execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: root }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'paella-cli-'));
  return () => rm(folder, { recursive: true, force: true });
});

describe('usage', () => {
  it('shows help with examples for every command', async () => {
    const overview = await paella(['--help']);
    expect(overview).toMatchObject({ code: 0, stderr: '' });
    for (const command of commands) {
      expect(overview.stdout).toMatch(new RegExp(`^ +${command}\\b`, 'm'));
      const { code, stdout } = await paella([command, '--help']);
      expect(code).toBe(0);
      expect(stdout).toContain(`  $ paella ${command}`);
      for (const option of ['--adapter', '--seed', '--dtype', '--json', '--quiet']) {
        expect(stdout, command).toContain(option);
      }
    }
  });

  it.each([
    [['generate', 'x', '--stps', '3'], 'Did you mean --steps?'],
    [['generte', 'x'], 'Did you mean generate?'],
    [['generate', 'red', 'apple'], 'too many arguments'],
    [['decode', 'x.json'], "'--out <file>' not specified"],
    [['generate'], "missing required argument 'prompt'"],
    [['generate', 'x', '--size', '64'], 'such as 64x64'],
    [['generate', 'x', '--steps', '0'], 'a whole number from 1 on'],
    [['generate', 'x', '--dtype', 'f8'], 'f32 or f16'],
    [['generate', 'x', '--out', 'x.webp'], 'must end in .png, .jpg or .jpeg'],
    [['convert', 'a.pt', 'b.pt'], 'must end in .safetensors'],
    [[], 'Usage: paella'],
  ])('refuses %j with exit code 2', async (args, message) => {
    const { code, stdout, stderr } = await paella(args);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
  });

  it('answers a script that asked for JSON in JSON, whatever happens', async () => {
    const usage = await paella(['inspect', '--json', '--al']);
    expect(usage.code).toBe(2);
    expect(JSON.parse(usage.stdout)).toMatchObject({ error: { code: 'argument' } });

    const missing = await paella(['inspect', 'nothing.pt', '--json']);
    expect(missing.code).toBe(1);
    expect(JSON.parse(missing.stdout)).toMatchObject({
      error: { code: 'not-found', message: expect.stringContaining('nothing.pt'), fix: expect.any(String) },
    });
    expect(missing.stderr).toMatch(/^error: /);
    expect(missing.stderr).not.toContain('    at ');
  });
});

describe('inspect and convert', () => {
  it('tells what a checkpoint is', async () => {
    const result = await json('inspect', golden('paella-tiny.pt'));
    expect(result).toMatchObject({
      format: 'pt-zip',
      kind: 'paella',
      config: { c_hidden: [16, 24, 24], nhead: [-1, null, null], level_config: ['CT', 'CTA', 'CTA'] },
      parameters: 71208,
    });
    const tensors = result.tensors as unknown[];
    expect(tensors).toHaveLength(136);
    expect(tensors[0]).toEqual({ name: 'byt5_mapper.weight', shape: [24, 20], dtype: 'f32' });

    const { stdout } = await paella(['inspect', golden('paella-tiny.pt')]);
    expect(stdout).toMatch(/^Model +Paella U-Net$/m);
    expect(stdout).toContain('and 116 more; --all lists them');
    const all = await paella(['inspect', golden('paella-tiny.pt'), '--all']);
    expect(all.stdout).toContain('out_mapper.1.weight');
  });

  it('converts without changing a value', async () => {
    const { files } = await json('convert', golden('paella-tiny.pt'), 'copy.safetensors');
    expect(files).toEqual(['copy.safetensors']);
    await expectEqual(await loadStateDict(golden('paella-tiny.pt')), 'copy.safetensors', 0);
  });

  it('converts to half precision in shards', async () => {
    const args = ['--dtype', 'f16', '--max-shard', '50kB'];
    const { files } = await json('convert', golden('paella-tiny.pt'), 'half.safetensors', ...args);
    expect(files).toHaveLength(4);
    expect(await readdir(folder)).toEqual([...(files as string[])].sort());
    const index = 'half.safetensors.index.json';
    expect(files).toContain(index);
    await expectEqual(await loadStateDict(golden('paella-tiny.pt')), index, 2 ** -11);
    const { tensors } = await json('inspect', index);
    expect(new Set((tensors as { dtype: string }[]).map(({ dtype }) => dtype))).toEqual(new Set(['f16']));
  });

  /** Every tensor of the file has the values of `expected` but for a relative rounding error. */
  async function expectEqual(expected: StateDict, file: string, rounding: number): Promise<void> {
    const found = await loadStateDict(join(folder, file));
    expect(found.keys().sort()).toEqual(expected.keys().sort());
    for (const key of expected.keys()) {
      const [a, b] = await Promise.all([expected.get(key), found.get(key)]);
      expect(b.shape, key).toEqual(a.shape);
      const errors = Array.from(a.data as Float32Array, (value, i) => {
        const smallest = 2 ** -14; // below it, half precision has fewer digits
        return Math.abs(value - Number(b.data[i])) / Math.max(Math.abs(value), smallest);
      });
      expect(Math.max(...errors), key).toBeLessThanOrEqual(rounding);
    }
  }
});

describe('doctor', () => {
  it('lists adapters, the one it selects, and its checks', async () => {
    const { adapters, selected, reason, checks } = await json('doctor');
    const list = adapters as { name: string }[];
    expect(list.length).toBeGreaterThan(0);
    expect(list[0]).toMatchObject({
      isSoftware: expect.any(Boolean),
      features: expect.any(Array),
      limits: { maxBufferSize: expect.any(Number) },
    });
    expect(list.map(({ name }) => name)).toContain(selected);
    expect(reason).toEqual(expect.any(String));
    expect(checks).toContainEqual({ name: 'computing', ok: true, detail: expect.any(String) });
    for (const check of checks as object[]) {
      expect(check).toMatchObject({ name: expect.any(String), ok: expect.any(Boolean) });
    }
  });

  it('tunes the kernels of a model, and keeps what it found', async () => {
    vi.stubEnv('PAELLA_CACHE', join(folder, 'cache'));
    try {
      const { tuning } = await json('doctor', '--tune');
      for (const { choice, milliseconds } of tuning as { choice: string; milliseconds: object }[]) {
        expect(Object.keys(milliseconds).length).toBeGreaterThan(1);
        expect(milliseconds).toHaveProperty(choice);
      }
      expect((await readdir(join(folder, 'cache'))).join()).toMatch(/tuning-.*\.json/);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('fails where nothing fits, and says how to help it', async () => {
    const { code, stdout } = await paella(['doctor', '--adapter', 'no such adapter', '--json']);
    expect(code).toBe(1);
    const { selected, checks } = JSON.parse(stdout) as { selected: unknown; checks: { name: string }[] };
    expect(selected).toBeNull();
    expect(checks.find(({ name }) => name === 'computing')).toMatchObject({
      ok: false,
      fix: expect.any(String),
    });
  });
});

describe('generate', () => {
  const apple = ['generate', 'a red apple', '--steps', '2', '--seed', '7'];

  it('draws equal pictures for equal seeds, and writes nothing else', async () => {
    const first = await paella([...apple, '--count', '2', '--out', 'a.png', '--animate', 'a.gif', '--json']);
    expect(first.code, first.stderr).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({
      images: ['a-1.png', 'a-2.png', 'a.gif'],
      seed: 7,
      width: 64,
      height: 64,
      steps: 2,
      adapter: expect.any(String),
      seconds: expect.any(Number),
    });
    expect(first.stderr).not.toContain('\r'); // no bar without a terminal
    const again = await paella([...apple, '--count', '2', '--out', 'b.png', '--quiet']);
    expect(again).toEqual({ code: 0, stdout: 'b-1.png\nb-2.png\n', stderr: '' });

    expect(await readdir(folder)).toEqual(['a-1.png', 'a-2.png', 'a.gif', 'b-1.png', 'b-2.png']);
    const [a1, a2, gif, b1, b2] = await Promise.all(
      (await readdir(folder)).map((name) => readFile(join(folder, name))),
    );
    expect(b1.equals(a1) && b2.equals(a2)).toBe(true);
    expect(a1.equals(a2)).toBe(false);
    expect(decodePng(a1)).toMatchObject({ width: 64, height: 64, channels: 3, depth: 8 });
    expect(gif.subarray(0, 6).toString()).toBe('GIF89a');
  });

  it('writes one contact sheet of another size, and prints the seed it took', async () => {
    const args = ['--steps', '1', '--count', '2', '--grid', '--size', '32x48'];
    const { images, seed, width, height } = await json('generate', 'Ein Apfel!', ...args);
    expect([width, height]).toEqual([32, 48]);
    expect(images).toEqual([`ein-apfel-${String(seed)}.png`]);
    const sheet = decodePng(await readFile(join(folder, `ein-apfel-${String(seed)}.png`)));
    expect([sheet.width, sheet.height]).toEqual([2 * 32 + 3 * 4, 48 + 2 * 4]);
  });

  it('computes no guidance where it is off, which is a guidance of 1', async () => {
    await json(...apple, '--cfg', 'off', '--out', 'off.png');
    await json(...apple, '--cfg', '1', '--out', 'one.png');
    const [off, one] = await Promise.all(['off', 'one'].map((name) => readFile(join(folder, `${name}.png`))));
    expect(off.equals(one)).toBe(true);
  });

  it.skipIf(process.platform === 'win32')(
    'stops on Ctrl-C and leaves no file (Windows has no SIGINT to send)',
    async () => {
      const args = ['generate', 'a red apple', '--steps', '1000', '--out', 'a.png', '--animate', 'a.gif'];
      const stop = (kill: () => void): void => void setTimeout(kill, 4000); // somewhere among the steps
      const { code, stdout, stderr } = await paella(args, stop);
      expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
      expect(stderr).toContain('stopped');
      expect(await readdir(folder)).toEqual([]);
    },
  );
});

describe('encode, decode and reconstruct', () => {
  /** Even colours, which tokens keep well. */
  const disc = (side: number): Uint8Array => {
    const inside = (i: number): boolean =>
      Math.hypot((i % side) - side / 2, Math.floor(i / side) - side / 2) < side / 3;
    const data = Uint8Array.from({ length: side * side * 3 }, (_, i) =>
      i % 3 === 0 || !inside(Math.floor(i / 3)) ? 250 : 40,
    );
    return encodePng({ width: side, height: side, data, channels: 3 });
  };

  it('goes from picture to tokens and back', async () => {
    await writeFile(join(folder, 'disc.png'), disc(32));
    const encoded = await json('encode', 'disc.png', '--out', 'disc.json');
    expect(encoded).toMatchObject({ width: 8, height: 8, file: 'disc.json' });
    const stored = JSON.parse(await readFile(join(folder, 'disc.json'), 'utf8')) as object;
    expect(stored).toEqual({ width: 8, height: 8, tokens: encoded.tokens });

    expect(await json('decode', 'disc.json', '--out', 'decoded.png')).toMatchObject({
      images: ['decoded.png'],
      width: 32,
      height: 32,
    });
    const decoded = await readFile(join(folder, 'decoded.png'));
    const { psnr, tokens } = await json('reconstruct', 'disc.png', '--out', 'again.png');
    expect(tokens).toEqual(encoded.tokens);
    expect((await readFile(join(folder, 'again.png'))).equals(decoded)).toBe(true);
    expect(psnr).toBeGreaterThan(20);
  });

  it('takes a VQGAN checkpoint for a model, and writes tokens for other programs', async () => {
    await writeFile(join(folder, 'disc.png'), disc(33));
    const model = ['--model', golden('vqmodel-tiny.pt')];
    const odd = await paella(['encode', 'disc.png', ...model]);
    expect(odd.code).toBe(2);
    expect(odd.stderr).toContain('Pass --size 32x32');

    const args = [...model, '--size', '16x24', '--out', 'disc.safetensors'];
    const { tokens } = await json('encode', 'disc.png', ...args);
    const stored = await (await loadStateDict(join(folder, 'disc.safetensors'))).get('tokens');
    expect(stored).toMatchObject({ shape: [6, 4], dtype: 'i64' });
    expect(Array.from(stored.data, Number)).toEqual((tokens as number[][]).flat());
    const { images } = await json('decode', 'disc.safetensors', ...model, '--out', 'small.jpg');
    expect(images).toEqual(['small.jpg']);
  });

  it('refuses tokens that the model does not have', async () => {
    await writeFile(join(folder, 'tokens.json'), '[[1, 2], [3, 32]]');
    const model = ['--model', golden('vqmodel-tiny.pt')];
    const { code, stderr } = await paella(['decode', 'tokens.json', ...model, '--out', 'x.png']);
    expect(code).toBe(1);
    expect(stderr).toContain('whole numbers below 32, found 32');
  });
});
