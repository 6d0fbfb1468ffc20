/**
 * Builds the page: `node web/build.mjs [folder]`, by default `web/dist`. What comes out is a site of static files for any
 * path of any host. Names in `assets/` hold a hash of their content, and files are written before those that name them.
 */
import { build } from 'esbuild';
import { cp, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { licencesOf } from '../scripts/licences.mjs';
import { wgsl } from '../scripts/wgsl.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const site = resolve(process.argv[2] ?? join(here, 'dist'));

const workers = await bundle({ worker: 'src/engine/worker.ts', files: 'src/files/worker.ts' });
const page = await bundle({ main: 'src/main.tsx', style: 'src/style/main.css' }, [
  workerNames(workers.names),
]);
const outputs = [...workers.outputs, ...page.outputs];

for (const { path, contents } of outputs) await writeIfChanged(path, contents);
const licences = await licencesOf([workers.metafile, page.metafile], here);
await writeIfChanged(join(site, 'licences.txt'), licences);
await cp(join(here, '../packages/paella/models'), join(site, 'models'), {
  recursive: true,
  preserveTimestamps: true,
  filter: isNewer,
});
await writeIfChanged(join(site, 'index.html'), await html(page.names));
await removeOthers(join(site, 'assets'), new Set(outputs.map(({ path }) => path)));

/**
 * Builds entries and what they load later.
 *
 * @param {Record<string, string>} entries source files by name
 * @param {import('esbuild').Plugin[]} plugins
 * @returns the outputs, and the file that was made of each source
 */
async function bundle(entries, plugins = []) {
  const { outputFiles, metafile } = await build({
    absWorkingDir: here,
    entryPoints: entries,
    outdir: join(site, 'assets'),
    entryNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    format: 'esm',
    platform: 'browser',
    conditions: ['@paella/source'],
    plugins: [wgsl, ...plugins],
    target: 'es2022',
    minify: true,
    sourcemap: true,
    legalComments: 'none', // licences.txt has all of them
    metafile: true,
    write: false,
    logLevel: 'warning',
  });
  /** @type {Map<string, string>} */
  const names = new Map();
  for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint) names.set(entryPoint, basename(path));
  }
  return { outputs: outputFiles, metafile, names };
}

/**
 * Gives a worker its name: `new URL('./worker.ts', import.meta.url)` in the page's sources becomes the URL of what was
 * made of that file.
 *
 * @param {Map<string, string>} names
 * @returns {import('esbuild').Plugin}
 */
function workerNames(names) {
  return {
    name: 'worker-names',
    setup(plugin) {
      plugin.onLoad({ filter: /\bclient\.ts$/ }, async ({ path }) => {
        const text = await readFile(path, 'utf8');
        const contents = text.replace(/new URL\('([^']+)', import\.meta\.url\)/g, (_, source) => {
          const name = names.get(relative(here, join(dirname(path), source)));
          if (!name) throw new Error(`${path}: ${source} is not among the workers that build.mjs makes`);
          return `new URL('${name}', import.meta.url)`;
        });
        return { contents, loader: 'ts' };
      });
    },
  };
}

/** The page, where sources stand, with what was made of them. @param {Map<string, string>} names */
async function html(names) {
  const text = await readFile(join(here, 'src/index.html'), 'utf8');
  return text.replace(/(src|href)="([\w/]+\.(?:tsx|css))"/g, (_, attribute, source) => {
    const name = names.get(`src/${source}`);
    if (!name) throw new Error(`index.html: ${source} is not among the entries of build.mjs`);
    return `${attribute}="assets/${name}"`;
  });
}

/** @param {string} path @param {string | Uint8Array} contents */
async function writeIfChanged(path, contents) {
  const old = await readFile(path).catch(() => undefined);
  if (old?.equals(Buffer.from(contents))) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, contents);
  await rename(temporary, path);
}

/** @param {string} from @param {string} to */
async function isNewer(from, to) {
  const [source, copy] = await Promise.all([stat(from), stat(to).catch(() => undefined)]);
  return source.isDirectory() || copy?.size !== source.size || copy.mtimeMs < source.mtimeMs;
}

/** Removes what earlier builds left. @param {string} folder @param {ReadonlySet<string>} keep */
async function removeOthers(folder, keep) {
  const paths = (await readdir(folder)).map((name) => join(folder, name));
  for (const path of paths) if (!keep.has(path)) await rm(path, { force: true });
}
