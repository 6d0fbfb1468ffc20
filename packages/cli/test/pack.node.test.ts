import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const packages = ['packages/kernels', 'packages/tensor', 'packages/paella', 'web', 'packages/cli'];
const entries: Record<string, string> = { '@paella/cli': 'main.js', '@paella/web': 'index.html' };
const minutes = 60_000;

interface Packed {
  filename: string;
  name: string;
  files: { path: string }[];
}

/** Runs a command to its end; a failure carries what it printed. */
async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const shell = process.platform === 'win32'; // npm and npx are scripts there
  const { stdout } = await promisify(execFile)(command, args, { cwd, shell, maxBuffer: 64 << 20 });
  return stdout;
}

describe('the packed packages', () => {
  let project: string;
  let packed: Packed[];

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'paella-pack-'));
    for (const script of ['scripts/build.mjs', 'web/build.mjs']) await run(root, 'node', script);
    const workspaces = packages.map((folder) => `--workspace=${folder}`);
    packed = JSON.parse(
      await run(root, 'npm', 'pack', '--json', `--pack-destination=${project}`, ...workspaces),
    );
    await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    const tarballs = packed.map(({ filename }) => `./${filename}`);
    await run(project, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs);
  }, 10 * minutes);

  afterAll(() => rm(project, { recursive: true, force: true }));

  it('carry their licence and their code, and nothing of the workshop', () => {
    expect(packed).toHaveLength(packages.length);
    for (const { name, files } of packed) {
      const paths = files.map(({ path }) => path);
      expect(paths, name).toContain('LICENSE');
      expect(paths, name).toContain(`dist/${entries[name] ?? 'index.js'}`);
      expect(
        paths.filter((path) =>
          /^(test|node_modules|\.turbo|dist\/models)\/|\.tsbuildinfo$|\.tmp$/.test(path),
        ),
        name,
      ).toEqual([]);
    }
  });

  it('answer to npx in an empty project', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'packages/cli/package.json'), 'utf8'));
    expect((await run(project, 'npx', '--no-install', 'paella', '--version')).trim()).toContain(version);
  });

  it('serve the studio with the model of the library', async () => {
    const command = [
      join(project, 'node_modules/@paella/cli/dist/main.js'),
      'serve',
      '--port',
      '0',
      '--quiet',
    ];
    const server = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(server.stdout, 'data')) as [Buffer];
    const url = line.toString().trim();
    expect(await (await fetch(url)).text()).toContain('<title>Paella');
    const card = await fetch(new URL('models/default/model.json', url));
    expect(await card.json()).toMatchObject({ format: 'paella-model/1' });
    server.kill();
  });

  it(
    'run the examples of the README in an empty project',
    async () => {
      const readme = await readFile(join(root, 'README.md'), 'utf8');
      const examples = [...readme.matchAll(/^```js example\n(.*?)^```/gms)];
      expect(examples.length, 'blocks ```js example in README.md').toBe(3);
      for (const [, example] of examples) {
        await writeFile(join(project, 'example.js'), example);
        await run(project, 'node', 'example.js');
      }
    },
    10 * minutes,
  );
});
