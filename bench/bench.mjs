/** `npm run bench -- --help` */
import { Device } from '@paella/tensor';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { peers as known } from './peers/index.mjs';
import { htmlReport, markdownReport } from './report.mjs';
import { firstLine } from './run.mjs';
import { resultsSchema } from './schema.mjs';
import { runSession, suiteNames } from './session.mjs';

const HELP = `Measures this engine and others on one adapter, in turns.

  --suite NAME    ${[...suiteNames, 'all'].join(' | ')}, or some with commas (all)
  --peers A,B     ${Object.keys(known).join(', ')} (all that load); '' for none
  --adapter NAME  auto, gpu, software, or a part of an adapter's name (auto)
  --case TEXT     only cases whose names contain it
  --rounds N      turns of every engine (7; 3 on SwiftShader)
  --json FILE     writes the results
  --report DIR    writes report.md and report.html
  --browser       runs the page in headless Chromium instead, on its adapter
`;

const say = (/** @type {string} */ line) => void process.stdout.write(`${line}\n`);
const options = parsed();
const { results, failed } = options.browser ? await inBrowser() : await inNode();
const checked = resultsSchema.parse(results);
if (options.json) await write(options.json, `${JSON.stringify(checked, null, 1)}\n`);
if (options.report) {
  await write(join(options.report, 'report.md'), markdownReport(checked));
  await write(join(options.report, 'report.html'), htmlReport(checked));
}
if (failed.length > 0) say(`\nfailed: ${failed.join('; ')}`);
// Engines of other people may keep the process alive.
process.exit(failed.length > 0 ? 1 : 0);

async function inNode() {
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

async function versions() {
  return { paella: JSON.parse(await text('package.json')).version };
}

function parsed() {
  const { values } = arguments_();
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const suites = values.suite === 'all' ? suiteNames : values.suite.split(',');
  const peers = values.peers?.split(',').filter(Boolean) ?? Object.keys(known);
  for (const name of suites) if (!suiteNames.includes(name)) refuse(`--suite: there is no suite '${name}'`);
  for (const name of peers) if (!(name in known)) refuse(`--peers: there is no peer '${name}'`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
    refuse(`--rounds: expected a whole number from 1 on, got '${values.rounds}'`);
  }
  return { ...values, suites, peers, rounds };
}

function arguments_() {
  try {
    return parseArgs({
      options: {
        suite: { type: 'string', default: 'all' },
        peers: { type: 'string' },
        adapter: { type: 'string', default: 'auto' },
        case: { type: 'string' },
        rounds: { type: 'string' },
        json: { type: 'string' },
        report: { type: 'string' },
        browser: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    return refuse(firstLine(error));
  }
}

/** @param {string} message @returns {never} */
function refuse(message) {
  process.stderr.write(`${message}\n\n${HELP}`);
  process.exit(2);
}
