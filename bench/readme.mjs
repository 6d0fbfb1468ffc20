/**
 * `node bench/readme.mjs [--check]`: writes the README's performance table from the results in bench/results, and the
 * whole tables beside them. With `--check` it only says whether they are what they would be.
 */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { markdownReport, summaryTable } from './report.mjs';
import { parseResults } from './schema.mjs';

const folder = new URL('results/', import.meta.url);
const readme = new URL('../README.md', import.meta.url);
const [begin, end] = ['<!-- performance: node bench/readme.mjs -->', '<!-- /performance -->'];

const { check } = parseArgs({ options: { check: { type: 'boolean', default: false } } }).values;
const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
const all = await Promise.all(
  names.map(async (name) => parseResults(JSON.parse(await readFile(new URL(name, folder), 'utf8')))),
);
/** @type {Map<URL, string>} */
const files = new Map();
for (const [i, name] of names.entries()) {
  files.set(new URL(name.replace(/json$/, 'md'), folder), markdownReport(all[i]));
}
const text = await readFile(readme, 'utf8');
const [before, after] = [text.indexOf(begin), text.indexOf(end)];
if (before < 0 || after < before) throw new Error(`README.md lacks the lines ${begin} and ${end}`);
files.set(readme, `${text.slice(0, before)}${begin}\n\n${summaryTable(all)}\n\n${text.slice(after)}`);

const stale = [];
for (const [file, content] of files) {
  if ((await readFile(file, 'utf8').catch(() => '')) === content) continue;
  stale.push(fileURLToPath(file));
  if (!check) await writeFile(file, content);
}
if (check && stale.length > 0) {
  process.stderr.write(`out of date: ${stale.join(', ')}\nRun \`npm run bench:readme\`.\n`);
  process.exitCode = 1;
}
