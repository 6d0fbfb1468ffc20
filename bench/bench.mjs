/** `npm run bench -- --help` */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { HELP, parseOptions } from './options.mjs';
import { htmlReport, markdownReport } from './report.mjs';
import { parseResults } from './schema.mjs';

const say = (/** @type {string} */ line) => void process.stdout.write(`${line}\n`);
const options = parsedOptions();
const { results, failed } = options.browser ? await inBrowser() : await inNode();
const checked = parseResults(results);
if (options.json) await write(options.json, `${JSON.stringify(checked, null, 1)}\n`);
if (options.report) {
  await write(join(options.report, 'report.md'), markdownReport(checked));
  await write(join(options.report, 'report.html'), htmlReport(checked));
}
if (failed.length > 0) say(`\nfailed: ${failed.join('; ')}`);
// Engines of other people may keep the process alive.
process.exit(failed.length > 0 ? 1 : 0);

async function inNode() {
  // Loaded here, since wrong usage and the page need no engine in this process.
  const [{ Device }, { runSession }] = await Promise.all([import('@paella/tensor'), import('./session.mjs')]);
  const device = await Device.create({ adapter: options.adapter });
  const slow = /swiftshader/i.test(device.info.name);
  const outcome = await runSession(device, {
    suites: options.suites,
    peers: options.peers,
    filter: options.case,
    rounds: options.rounds ?? (slow ? 3 : 7),
    platform: `Node ${process.version}, ${availableParallelism()}× ${cpus()[0].model.trim()}`,
    versions: await versions(),
    wgsl: { fma: await text('wgsl/fma.wgsl'), copy: await text('wgsl/copy.wgsl') },
    cpuMs() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    say,
  });
  device.destroy();
  return outcome;
}

async function inBrowser() {
  const { runPage } = await import('./browser.mjs');
  const { suites, peers, case: filter, rounds } = options;
  return runPage({ suites, peers, filter, rounds: rounds ?? 3, versions: await versions() }, say);
}

/** @param {string} file beside this one */
async function text(file) {
  return readFile(new URL(file, import.meta.url), 'utf8');
}

/** @param {string} file @param {string} content */
async function write(file, content) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

/** Of this engine, and of the Dawn that it runs on in Node. */
async function versions() {
  const [own, tensor] = await Promise.all(['package.json', '../packages/tensor/package.json'].map(text));
  const { webgpu } = JSON.parse(tensor).optionalDependencies;
  return { paella: JSON.parse(own).version, ...(!options.browser && { webgpu }) };
}

function parsedOptions() {
  const parsed = parseOptions(process.argv.slice(2));
  if ('error' in parsed) {
    process.stderr.write(`${parsed.error}\n\n${HELP}`);
    process.exit(2);
  }
  if (parsed.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  return parsed;
}
