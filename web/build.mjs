/** Builds the page: `web/dist` is a static site, with the embedded model where the script looks for it. */
import { build } from 'esbuild';
import { cp } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

await build({
  entryPoints: [here('src/main.ts')],
  outdir: here('dist/assets'),
  bundle: true,
  format: 'esm',
  platform: 'browser',
  conditions: ['@paella/source'],
  loader: { '.wgsl': 'text' },
  target: 'es2022',
  minify: true,
  sourcemap: true,
  logLevel: 'warning',
});
for (const file of ['index.html', 'style.css']) await cp(here(`src/${file}`), here(`dist/${file}`));
await cp(here('../packages/paella/models'), here('dist/models'), { recursive: true });
