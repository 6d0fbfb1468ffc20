/**
 * Writes released files at their full size with random weights, to measure what loading and running them takes:
 * `node scripts/random-release.mjs <folder> [unet] [vqgan] [byt5] [clip] [prior]` (4.0, 0.1, 5.2, 3.9 and 3.6 GB; all of
 * them without names).
 */
import { build } from 'esbuild';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const [folder, ...parts] = process.argv.slice(2);
if (!folder)
  throw new Error('usage: node scripts/random-release.mjs <folder> [unet] [vqgan] [byt5] [clip] [prior]');

const cache = new URL('../node_modules/.cache/', import.meta.url);
await mkdir(cache, { recursive: true });
const outfile = fileURLToPath(new URL('random-release.mjs', cache));
await build({
  entryPoints: [fileURLToPath(new URL('../packages/paella/test/random-release.ts', import.meta.url))],
  outfile,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'es2022',
  external: ['webgpu', 'koffi', '@sparticuz/chromium'],
  conditions: ['@paella/source'],
  loader: { '.wgsl': 'text' },
  logLevel: 'warning',
});
/** @type {{ writeFullRelease: (folder: string, parts?: string[]) => Promise<void> }} */
const { writeFullRelease } = await import(outfile);
await writeFullRelease(folder, parts.length > 0 ? parts : undefined);
