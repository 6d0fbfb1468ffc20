import { build } from 'esbuild';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
let work: string;

/** Allocates until the adapter refuses, and prints the error. */
const allocate = `
  import { Device } from './library.mjs';
  const device = await Device.create({ adapter: 'swiftshader' });
  const kept = [];
  try {
    for (let i = 0; i < 100; i++) {
      kept.push(device.empty([32 << 20]));
      await device.synchronize();
    }
  } catch ({ name, code, message }) {
    console.log(JSON.stringify({ name, code, message }));
  }
  process.exit(0);
`;

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
  'with 8 GB of address space (SwiftShader: Linux x64)',
  () => {
    beforeAll(async () => {
      // Inside the repository, so that the process finds its node_modules.
      await mkdir(join(root, 'test-output'), { recursive: true });
      work = await mkdtemp(join(root, 'test-output/memory-'));
      await writeFile(join(work, 'allocate.mjs'), allocate);
      await build({
        entryPoints: [join(root, 'packages/tensor/src/index.ts')],
        outfile: join(work, 'library.mjs'),
        bundle: true,
        external: ['webgpu', 'koffi', 'modern-tar', 'modern-tar/*'],
        conditions: ['@paella/source', 'node'],
        loader: { '.wgsl': 'text' },
        format: 'esm',
        platform: 'node',
        target: 'es2022', // Node 20 has no `using`
      });
    });
    afterAll(() => rm(work, { recursive: true, force: true }));

    it('a buffer too many is an error that says so', async () => {
      const limited = 'ulimit -v 8000000 && exec "$0" "$@"';
      const command = [limited, process.execPath, join(work, 'allocate.mjs')];
      const { stdout } = await promisify(execFile)('sh', ['-c', ...command]);
      const error = JSON.parse(stdout) as { name: string; code: string; message: string };
      expect(error).toMatchObject({ name: 'PaellaError', code: 'out-of-memory' });
      expect(error.message).toMatch(/no memory for a buffer of 134217728 bytes/);
    });
  },
);
