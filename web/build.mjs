/**
 * Builds the page: `node web/build.mjs [folder]`, by default `web/dist`. What comes out is a site of static files for any
 * path of any host. Names in `assets/` hold a hash of their content, and files are written before those that name them.
 *
 * Vite, because the engine's worker loads some of the library later: esbuild puts all that `paella` exports into the
 * chunk that such imports share with the first load, which it makes half as large again.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, defaultClientConditions } from 'vite';
import { licencesOf } from '../scripts/licences.mjs';
import { wgslModules } from '../scripts/wgsl.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const site = resolve(process.argv[2] ?? join(here, 'dist'));

// Whoever builds, a test runner say: with another one, Vite compiles components as for development.
process.env.NODE_ENV = 'production';

const { outputs, modules } = await bundle();
for (const file of await readdir(join(here, 'public'))) {
  outputs.set(file, await readFile(join(here, 'public', file)));
}
outputs.set('service-worker.js', await serviceWorker(outputs));
const isAsset = (/** @type {string} */ name) => name.startsWith('assets/');
const names = [...outputs.keys()].sort((a, b) => Number(isAsset(b)) - Number(isAsset(a)));

await cp(join(here, '../packages/paella/models'), join(site, 'models'), {
  recursive: true,
  preserveTimestamps: true,
  filter: isNewer,
});
await writeIfChanged(join(site, 'licences.txt'), await licencesOf(modules));
for (const name of names) await writeIfChanged(join(site, name), outputs.get(name) ?? '');
await removeOthers('assets', outputs);

/** @returns the files of the site by name, and the modules of which there is something in them */
async function bundle() {
  /** @type {Set<string>} */
  const found = new Set();
  const plugins = () => [wgslModules, collectModules(found)];
  const rolldownOptions = { checks: { pluginTimings: false } }; // no warnings of a slow machine
  const result = await build({
    configFile: false,
    root: join(here, 'src'),
    publicDir: join(here, 'public'),
    base: './',
    logLevel: 'warn',
    plugins: plugins(),
    worker: {
      format: 'es',
      plugins,
      rolldownOptions: { ...rolldownOptions, output: { entryFileNames: workerName } },
    },
    resolve: { conditions: ['@paella/source', ...defaultClientConditions] },
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      target: 'es2022',
      sourcemap: true,
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
      write: false,
      rolldownOptions,
    },
  });
  if (!('output' in result)) throw new Error('a single build was asked for');
  /** @type {Map<string, string | Uint8Array>} */
  const files = new Map(
    result.output.map((file) => [file.fileName, file.type === 'chunk' ? file.code : file.source]),
  );
  return { outputs: files, modules: found };
}

/**
 * The script that keeps all files for visits without a network.
 *
 * @param {ReadonlyMap<string, string | Uint8Array>} all files of the site
 */
async function serviceWorker(all) {
  const files = [...all.keys()].filter((name) => !/\.(map|html)$/.test(name)).sort();
  const hash = createHash('sha256');
  for (const name of [...files, 'index.html']) hash.update(name).update(all.get(name) ?? '');
  const version = hash.digest('hex').slice(0, 16);
  const result = await build({
    configFile: false,
    root: here,
    logLevel: 'warn',
    define: { BUILD: JSON.stringify({ version, files }) },
    build: {
      target: 'es2022',
      modulePreload: false,
      reportCompressedSize: false,
      write: false,
      rolldownOptions: { input: join(here, 'src/service-worker/service-worker.ts') },
    },
  });
  if (!('output' in result)) throw new Error('a single build was asked for');
  return result.output[0].code;
}

/** All workers are a `worker.ts`; their folders have names. @param {{ facadeModuleId: string | null }} chunk */
function workerName({ facadeModuleId }) {
  return `assets/${basename(dirname(facadeModuleId ?? ''))}-[hash].js`;
}

/** @param {Set<string>} found gets what comes into the bundles, those of workers too @returns {import('vite').Plugin} */
function collectModules(found) {
  return {
    name: 'collect-modules',
    generateBundle(_, files) {
      for (const file of Object.values(files)) {
        if (file.type !== 'chunk') continue;
        for (const [id, { renderedLength }] of Object.entries(file.modules)) {
          if (renderedLength > 0) found.add(id);
        }
      }
    },
  };
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

/** Removes what earlier builds left. @param {string} folder @param {ReadonlyMap<string, unknown>} keep by paths in the site */
async function removeOthers(folder, keep) {
  for (const file of await readdir(join(site, folder))) {
    if (!keep.has(`${folder}/${file}`)) await rm(join(site, folder, file), { force: true });
  }
}
