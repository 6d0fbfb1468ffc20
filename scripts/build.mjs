/**
 * Builds the packages' JavaScript: `node scripts/build.mjs [package…]`, all of them without arguments.
 *
 * What is built is what each package.json points at: every `./dist/x.js` in its `exports`, `imports` and `bin`
 * is made from `src/x.ts`, a `standalone.js` so that it imports nothing. Types come from `tsc -b`. It runs before every
 * `npm run paella`, so it only writes what changed: two commands started together never see a half-written or missing
 * file.
 */
import { build } from 'esbuild';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { licencesOf } from './licences.mjs';
import { wgsl } from './wgsl.mjs';

const packagesDir = fileURLToPath(new URL('../packages/', import.meta.url));
const dirs = process.argv.length > 2 ? process.argv.slice(2) : await readdir(packagesDir);
await Promise.all(dirs.map((name) => buildPackage(join(packagesDir, name))));

/** @param {string} dir the package's folder */
async function buildPackage(dir) {
  const manifest = JSON.parse(await readFile(join(dir, 'package.json'), 'utf8'));
  const targets = distFiles([manifest.exports, manifest.imports, manifest.bin]);
  const bins = new Set(distFiles(manifest.bin).map((file) => join(dir, file)));
  const standalone = targets.filter((file) => file.endsWith('/standalone.js'));
  const result = await build({
    absWorkingDir: dir,
    entryPoints: targets.filter((file) => !standalone.includes(file)).map(sourceOf),
    outdir: 'dist',
    outbase: 'src',
    chunkNames: '[name]-[hash]', // beside the entries: paths relative to import.meta.url hold in both
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    packages: 'external',
    external: ['#*', 'node:*'],
    plugins: [wgsl],
    sourcemap: true,
    write: false,
    logLevel: 'warning',
  });

  const outputs = new Map(result.outputFiles.map(({ path, text }) => [path, text]));
  for (const file of standalone) {
    const { code, licences } = await buildStandalone(dir, sourceOf(file));
    outputs.set(join(dir, file), code).set(join(dir, file.replace(/\.js$/, '.licences.txt')), licences);
  }
  for (const bin of bins) {
    if (!outputs.get(bin)?.startsWith('#!'))
      throw new Error(`${bin}: its source must start with #!/usr/bin/env node`);
  }
  // Chunks before the entries that import them; entries have no hash in their name.
  const entries = new Set(targets.map((file) => join(dir, file)));
  const paths = [...outputs.keys()].sort((a, b) => Number(entries.has(a)) - Number(entries.has(b)));
  for (const path of paths) await writeIfChanged(path, outputs.get(path) ?? '', bins.has(path));

  for (const path of await builtFiles(join(dir, 'dist')))
    if (!outputs.has(path)) await rm(path, { force: true });
}

/** @param {string} target `./dist/x.js` */
function sourceOf(target) {
  return target.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts');
}

/**
 * Makes one file of an entry and of all that it imports, for browsers.
 *
 * @param {string} dir the package's folder
 * @param {string} entry
 */
async function buildStandalone(dir, entry) {
  const { outputFiles, metafile } = await build({
    absWorkingDir: dir,
    entryPoints: [entry],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['@paella/source'],
    target: 'es2022',
    plugins: [wgsl],
    minify: true,
    legalComments: 'none', // they stand beside it
    metafile: true,
    write: false,
    logLevel: 'warning',
  });
  const [{ inputs }] = Object.values(metafile.outputs);
  const used = Object.keys(inputs).filter((path) => inputs[path].bytesInOutput > 0);
  return { code: outputFiles[0].text, licences: await licencesOf(used.map((path) => join(dir, path))) };
}

/**
 * All `./dist/….js` strings anywhere in a manifest field, once each.
 * @param {unknown} field
 * @returns {string[]}
 */
function distFiles(field) {
  if (typeof field === 'string') return /^\.\/dist\/.*\.js$/.test(field) ? [field] : [];
  if (typeof field !== 'object' || field === null) return [];
  return [...new Set(Object.values(field).flatMap(distFiles))];
}

/** @param {string} path @param {string} text @param {boolean} executable */
async function writeIfChanged(path, text, executable) {
  const old = await readFile(path, 'utf8').catch(() => undefined);
  if (old === text) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, text, { mode: executable ? 0o755 : 0o644 });
  await rename(temporary, path);
}

/** The JavaScript and source maps under `dist`; declarations belong to tsc. @param {string} dist */
async function builtFiles(dist) {
  const files = await readdir(dist, { recursive: true }).catch(() => /** @type {string[]} */ ([]));
  return files.filter((file) => /\.js(\.map)?$/.test(file)).map((file) => join(dist, file));
}
