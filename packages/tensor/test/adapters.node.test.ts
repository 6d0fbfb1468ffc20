/** Adapters as a fresh process sees them, on Linux x64 with nothing but what npm installs. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
// Inside the repository, so that the children find its node_modules.
const work = mkdtempSync(join(mkdirFor(join(root, 'test-output')), 'adapters-'));
const library = pathToFileURL(join(work, 'platform.mjs')).href;
const unpacked = ['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json'];
const computing = /^paella: no GPU found, computing on the processor with .*\n$/;
let cache: string;

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
  'adapters in a new process (SwiftShader: Linux x64)',
  () => {
    beforeAll(async () => {
      await build({
        entryPoints: [fileURLToPath(new URL('../src/platform/node.ts', import.meta.url))],
        outfile: fileURLToPath(library),
        bundle: true,
        packages: 'external',
        format: 'esm',
        platform: 'node',
      });
    });
    beforeEach(() => {
      cache = mkdtempSync(join(work, 'cache-'));
    });
    afterAll(() => rmSync(work, { recursive: true, force: true }));

    it('unpacks SwiftShader once when four processes start together', async () => {
      const runs = await Promise.all([1, 2, 3, 4].map(() => run(openAndCompute('swiftshader'))));
      for (const { code, stdout, stderr } of runs) {
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
        expect(JSON.parse(stdout)).toMatchObject([{ name: /SwiftShader/, isSoftware: true, doubled: 42 }]);
      }
      expect(readdirSync(cache)).toEqual(['swiftshader-143.0.4']);
      expect(readdirSync(join(cache, 'swiftshader-143.0.4')).sort()).toEqual(unpacked);
    });

    it('repairs a cache that lost a file, and leaves none behind', async () => {
      await run(openAndCompute('swiftshader'));
      rmSync(join(cache, 'swiftshader-143.0.4', 'libvk_swiftshader.so'));
      expect(await run(openAndCompute('swiftshader'))).toMatchObject({ code: 0, stderr: '' });
      expect(readdirSync(cache)).toEqual(['swiftshader-143.0.4']);
      expect(readdirSync(join(cache, 'swiftshader-143.0.4')).sort()).toEqual(unpacked);
    });

    it('uses the temporary folder where the home cannot be written', async () => {
      const environment = { PAELLA_CACHE: '/dev/null/cache', TMPDIR: cache };
      expect(await run(openAndCompute('swiftshader'), { environment })).toMatchObject({
        code: 0,
        stderr: '',
      });
      expect(readdirSync(cache)).toEqual([`paella-${process.getuid?.()}`]);
    });

    it('opens different drivers in one process, each several times, and survives garbage collection', async () => {
      const requests = ['swiftshader', 'software', 'auto', 'swiftshader', 'software'];
      const result = await run(openAndCompute(...requests), { node: ['--expose-gc'] });
      expect(result.code).toBe(0);
      const opened = JSON.parse(result.stdout) as { name: string; doubled: number }[];
      expect(opened.map(({ doubled }) => doubled)).toEqual([42, 42, 42, 42, 42]);
      expect(opened[3].name).toBe(opened[0].name);
      expect(opened[4].name).toBe(opened[1].name);
    });

    it('opens in worker threads that start together', async () => {
      const worker = save(openAndCompute('swiftshader', 'software'));
      const code = `
      import { Worker } from 'node:worker_threads';
      for (const i of [1, 2, 3]) {
        new Worker(${JSON.stringify(worker)}).on('error', (error) => console.error(error));
      }`;
      expect(await run(code)).toMatchObject({ code: 0, stderr: '' });
    });

    it('lets PAELLA_ADAPTER decide for auto only, and says so once', async () => {
      const environment = { PAELLA_ADAPTER: 'swiftshader' };
      const { stdout, stderr } = await run(openAndCompute('auto', 'auto'), { environment });
      expect(JSON.parse(stdout)).toMatchObject([{ name: /SwiftShader/ }, { name: /SwiftShader/ }]);
      expect(stderr).toBe('paella: PAELLA_ADAPTER=swiftshader chooses the adapter\n');
    });

    it('leaves the environment as it was', async () => {
      const code = `
      const before = JSON.stringify(process.env);
      const { listAdapters } = await import(${JSON.stringify(library)});
      await listAdapters();
      if (JSON.stringify(process.env) !== before) throw new Error('the environment changed');`;
      expect(await run(code)).toMatchObject({ code: 0, stderr: '' });
    });

    it.skipIf(!canHideLoader())('needs no Vulkan library of the system (if it can be hidden)', async () => {
      const { code, stdout, stderr } = await run(openAndCompute('auto', 'auto'), { hidden: true });
      expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(computing) });
      expect(JSON.parse(stdout)).toMatchObject([
        { source: 'bundled-software', doubled: 42 },
        { source: 'bundled-software', doubled: 42 },
      ]);

      const checks = `
      const { environmentChecks } = await import(${JSON.stringify(library)});
      console.log(JSON.stringify(await environmentChecks()));`;
      expect(JSON.parse((await run(checks, { hidden: true })).stdout)).toMatchObject([
        { name: 'webgpu package', ok: true },
        { name: 'Vulkan loader', ok: true },
        { name: 'GPU', ok: false },
        { name: 'system software Vulkan', ok: false },
        { name: 'bundled SwiftShader', ok: true },
        { name: 'shader-f16', ok: false },
      ]);
    });
  },
);

/** A program that opens adapters, doubles 21 on each, and prints what it opened. */
function openAndCompute(...requests: string[]): string {
  return `
    const { openAdapter } = await import(${JSON.stringify(library)});
    const opened = [];
    for (const request of ${JSON.stringify(requests)}) {
      const { adapter, summary } = await openAdapter(request);
      const device = await adapter.requestDevice();
      const module = device.createShaderModule({ code:
        '@group(0) @binding(0) var<storage, read_write> x: array<f32>;' +
        '@compute @workgroup_size(1) fn main() { x[0] *= 2.0; }' });
      const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
      const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
      const x = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC | COPY_DST });
      const y = device.createBuffer({ size: 4, usage: MAP_READ | COPY_DST });
      device.queue.writeBuffer(x, 0, new Float32Array([21]));
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      const layout = pipeline.getBindGroupLayout(0);
      const entries = [{ binding: 0, resource: { buffer: x } }];
      pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(1);
      pass.end();
      encoder.copyBufferToBuffer(x, 0, y, 0, 4);
      device.queue.submit([encoder.finish()]);
      globalThis.gc?.();
      await y.mapAsync(GPUMapMode.READ);
      const { name, source, isSoftware } = summary;
      opened.push({ name, source, isSoftware, doubled: new Float32Array(y.getMappedRange())[0] });
    }
    console.log(JSON.stringify(opened));`;
}

interface RunOptions {
  environment?: Record<string, string>;
  node?: string[];
  /** Run where no `libvulkan.so.1` can be loaded, and no driver is known to one. */
  hidden?: boolean;
}

/** Runs a program in a new Node process with an empty cache; `code` is null where it did not exit by itself. */
function run(program: string, { environment = {}, node = [], hidden = false }: RunOptions = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VK_|PAELLA_|NODE_|VITEST)/.test(name));
  const env = { ...Object.fromEntries(inherited), PAELLA_CACHE: cache, ...environment };
  const command = [process.execPath, ...node, save(program)];
  const [name, ...args] = hidden ? hiding(command) : command;
  const child = spawn(name, args, { env, timeout: 60_000, cwd: root });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += String(data)));
  child.stderr.on('data', (data) => (stderr += String(data)));
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Writes a program into a file of its own. */
function save(program: string): string {
  const file = join(mkdtempSync(join(work, 'program-')), 'main.mjs');
  writeFileSync(file, program);
  return file;
}

/** A command in a mount namespace of its own, where an empty file covers each Vulkan loader. */
function hiding(command: string[]): string[] {
  const listed = spawnSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' }).stdout ?? '';
  const loaders = [...listed.matchAll(/libvulkan\.so\.1 .*=> (.*)/g)].map(([, path]) => path);
  const empty = join(work, 'empty');
  writeFileSync(empty, '');
  const script = `for f in ${loaders.join(' ')}; do mount --bind ${empty} "$(readlink -f $f)" || exit 1; done; exec "$@"`;
  const hideDrivers = ['env', `VK_DRIVER_FILES=${empty}`, `VK_ICD_FILENAMES=${empty}`];
  return ['unshare', '--map-root-user', '--mount', 'sh', '-c', script, 'sh', ...hideDrivers, ...command];
}

/** Containers and hardened systems may forbid namespaces. */
function canHideLoader(): boolean {
  if (!existsSync('/sbin/ldconfig')) return false;
  const [name, ...args] = hiding(['true']);
  return spawnSync(name, args).status === 0;
}

function mkdirFor(folder: string): string {
  mkdirSync(folder, { recursive: true });
  return folder;
}
