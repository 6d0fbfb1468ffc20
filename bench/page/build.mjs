/** Builds the benchmark's page: a static site in `bench/dist`, with the embedded model where the script looks for it. */
import { build } from 'esbuild';
import { cp } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** Where {@link buildPage} puts it. */
export const pageFolder = here('../dist');

export async function buildPage() {
  await build({
    entryPoints: [here('main.mjs')],
    outdir: here('../dist/assets'),
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['@paella/source'],
    loader: { '.wgsl': 'text' },
    // The peers that Node alone has; the page asks for none of them.
    external: ['onnxruntime-node', 'webgpu', 'node:*'],
    define: { 'process.env.NODE_ENV': '"production"' },
    target: 'es2022',
    minify: true,
    logLevel: 'error',
  });
  await cp(here('index.html'), here('../dist/index.html'));
  await cp(here('../../packages/paella/models'), here('../dist/models'), { recursive: true });
}
