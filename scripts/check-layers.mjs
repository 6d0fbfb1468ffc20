/**
 * What no linter knows of this repository:
 * - imports go one way, kernels ← tensor ← paella ← cli, bench ← web, and a relative import stays in its package;
 * - a source file is at most 500 lines;
 * - shaders live in `.wgsl` files, not in strings.
 */
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const maxLines = 500;

/** What each layer may import of the others, the layers by folder. */
const layers = [
  { dir: 'packages/kernels', name: '@paella/kernels', uses: [] },
  { dir: 'packages/tensor', name: '@paella/tensor', uses: ['@paella/kernels'] },
  { dir: 'packages/paella', name: 'paella', uses: ['@paella/kernels', '@paella/tensor'] },
  { dir: 'packages/cli', name: '@paella/cli', uses: ['@paella/kernels', '@paella/tensor', 'paella'] },
  { dir: 'bench', name: '@paella/bench', uses: ['@paella/kernels', '@paella/tensor', 'paella'] },
  { dir: 'web', name: '@paella/web', uses: ['@paella/kernels', '@paella/tensor', 'paella', '@paella/bench'] },
];
const names = layers.map(({ name }) => name);

/** @type {string[]} */
const problems = [];
for (const layer of layers) {
  const src = join(root, layer.dir, 'src');
  const files = await readdir(src, { recursive: true }).catch(() => /** @type {string[]} */ ([]));
  for (const file of files.filter((name) => /\.(tsx?|wgsl)$/.test(name))) await check(layer, join(src, file));
}
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}

/** @param {(typeof layers)[number]} layer @param {string} path */
async function check(layer, path) {
  const text = await readFile(path, 'utf8');
  const where = relative(root, path);
  const lines = text.split('\n').length - 1;
  if (lines > maxLines) problems.push(`${where}: ${lines} lines, at most ${maxLines}`);
  if (path.endsWith('.wgsl')) return;
  if (text.includes('@compute')) problems.push(`${where}: a shader in TypeScript; move it to a .wgsl file`);

  for (const { fileName: target } of ts.preProcessFile(text).importedFiles) {
    if (target.startsWith('.')) {
      const inside = resolve(dirname(path), target).startsWith(join(root, layer.dir) + sep);
      if (!inside)
        problems.push(`${where}: imports ${target}, a file of another package; import the package`);
      continue;
    }
    const used = names.find((name) => target === name || target.startsWith(`${name}/`));
    if (used && !layer.uses.some((name) => name === used)) {
      problems.push(`${where}: ${layer.name} may not import ${target}`);
    }
  }
}
