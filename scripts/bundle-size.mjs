/**
 * What the packages weigh in somebody's page, and the studio's page on its first visit: prints a table, and fails above
 * the budgets. It takes what is built: packages from their `dist`, as a user's bundler does.
 */
import { readFile, readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

/** In kB (1000 bytes) of minified code, before compression. */
const budgets = {
  '@paella/kernels, all of it': 166,
  '@paella/tensor, all of it': 275,
  'paella, all of it': 372,
  'Device and Pipeline': 331,
  'the studio, script until its first picture': 400,
};

/** What is bundled for a line of the table, but for the studio. @type {Record<string, string>} */
const programs = {
  '@paella/kernels, all of it': "export * from '@paella/kernels';",
  '@paella/tensor, all of it': "export * from '@paella/tensor';",
  'paella, all of it': "export * from 'paella';",
  'Device and Pipeline': "export { Device } from '@paella/tensor'; export { Pipeline } from 'paella';",
};

const root = fileURLToPath(new URL('..', import.meta.url));
const table = await Promise.all(
  Object.entries(budgets).map(async ([name, budget]) => {
    const codes = name in programs ? await bundle(programs[name]) : await firstVisit();
    const bytes = codes.map((code) => Buffer.from(code));
    const sum = (/** @type {(file: Buffer) => number} */ of) =>
      bytes.reduce((all, file) => all + of(file), 0) / 1000;
    return { name, size: sum(({ length }) => length), gzip: sum((file) => gzipSync(file).length), budget };
  }),
);

const width = Math.max(...table.map(({ name }) => name.length));
const number = (/** @type {number} */ value) => value.toFixed(1).padStart(8);
console.log(`${'kB'.padEnd(width)} ${'minified'.padStart(8)} ${'gzip'.padStart(8)} ${'budget'.padStart(8)}`);
for (const { name, size, gzip, budget } of table) {
  const mark = size > budget ? '  too large' : '';
  console.log(`${name.padEnd(width)} ${number(size)} ${number(gzip)} ${number(budget)}${mark}`);
}
if (table.some(({ size, budget }) => size > budget)) {
  console.error(
    'Load what is not needed at first by import(), or change the budgets in scripts/bundle-size.mjs.',
  );
  process.exit(1);
}

/**
 * Bundles a module for browsers.
 *
 * @param {string} program
 * @returns {Promise<string[]>} the files that are loaded with it
 */
async function bundle(program) {
  const entry = `${root}program.js`;
  const result = await build({
    configFile: false,
    root,
    logLevel: 'error',
    plugins: [
      {
        name: 'program',
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? program : undefined),
      },
    ],
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      reportCompressedSize: false,
      rolldownOptions: { input: entry, preserveEntrySignatures: 'strict', checks: { pluginTimings: false } },
    },
  });
  if (!('output' in result)) throw new Error('a single build was asked for');
  const chunks = result.output.filter((file) => file.type === 'chunk');
  const files = new Map(chunks.map(({ fileName, code }) => [basename(fileName), code]));
  return loadedWith(
    chunks.filter(({ isEntry }) => isEntry).map(({ fileName }) => basename(fileName)),
    files,
  );
}

/**
 * The built studio's script: the page's, that of the worker that draws, and what checks the model that is downloaded.
 *
 * @returns {Promise<string[]>}
 */
async function firstVisit() {
  const dist = `${root}web/dist/`;
  const names = (await readdir(`${dist}assets`)).filter((name) => name.endsWith('.js'));
  const texts = await Promise.all(names.map((name) => readFile(`${dist}assets/${name}`, 'utf8')));
  const page = await readFile(`${dist}index.html`, 'utf8');
  const isFirst = (/** @type {string} */ name) => page.includes(name) || /^(engine|sha256)-/.test(name);
  return loadedWith(names.filter(isFirst), new Map(names.map((name, i) => [name, texts[i]])));
}

/**
 * @param {string[]} start file names
 * @param {ReadonlyMap<string, string>} files code by name
 * @returns {string[]} the code of these and of all that they import at once
 */
function loadedWith(start, files) {
  const names = new Set(start);
  // A set is walked to its end, also to what is added meanwhile.
  for (const name of names) {
    const code = files.get(name) ?? '';
    for (const [, found] of code.matchAll(/\b(?:from|import) ?["'`]\.\/([^"'`]+\.js)["'`]/g))
      names.add(found);
  }
  return [...names].map((name) => files.get(name) ?? '');
}
