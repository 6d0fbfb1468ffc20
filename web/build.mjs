/** Builds the page: `web/dist` is a static site, with the embedded model where the script looks for it. */
import { build } from 'esbuild';
import { cp } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

await build({
  entryPoints: {
    main: here('src/main.tsx'),
    style: here('src/style/main.css'),
    worker: here('src/engine/worker.ts'),
    files: here('src/files/worker.ts'),
  },
  outdir: here('dist/assets'),
  bundle: true,
  splitting: true,
  jsx: 'automatic',
  jsxImportSource: 'preact',
  format: 'esm',
  platform: 'browser',
  conditions: ['@paella/source'],
  loader: { '.wgsl': 'text' },
  target: 'es2022',
  minify: true,
  sourcemap: true,
  logLevel: 'warning',
});
await cp(here('src/index.html'), here('dist/index.html'));
await cp(here('../packages/paella/models'), here('dist/models'), { recursive: true });
