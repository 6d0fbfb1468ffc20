/** `npm run bench -- --help` */
import { Device } from '@paella/tensor';
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { measureCeilings } from './ceilings.mjs';
import { peers as known } from './peers/index.mjs';
import { firstLine, openPeers, runCase } from './run.mjs';
import { suites } from './suites.mjs';
import { headLine, rowLines } from './table.mjs';

const HELP = `Measures this engine and others on one adapter.

  --suite NAME        ${[...Object.keys(suites), 'all'].join(' | ')} (all)
  --peers A,B         of ${Object.keys(known).join(', ')} (all that load)
  --adapter NAME      as Device.create takes it (auto)
  --case TEXT         only cases whose names contain it
  --rounds N          turns of every engine (7; on SwiftShader 3)
  --json FILE         writes the results
`;

const { values: options } = parsed();
const software = (/** @type {string} */ name) => /swiftshader/i.test(name);
const suiteNames = options.suite === 'all' ? Object.keys(suites) : options.suite.split(',');
const peerNames = options.peers?.split(',').filter(Boolean) ?? Object.keys(known);
for (const name of suiteNames) if (!(name in suites)) refuse(`--suite: no suite '${name}'`);
for (const name of peerNames) if (!(name in known)) refuse(`--peers: no peer '${name}'`);
const asked = Number(options.rounds ?? 7);
if (!Number.isInteger(asked) || asked < 1)
  refuse(`--rounds: expected a whole number from 1 on, got ${options.rounds}`);

const device = await Device.create({ adapter: options.adapter });
const adapter = device.info.name;
const rounds = options.rounds === undefined && software(adapter) ? 3 : asked;
const text = (/** @type {string} */ file) => readFile(new URL(file, import.meta.url), 'utf8');
const ceilings = await measureCeilings(adapter, {
  fma: await text('wgsl/fma.wgsl'),
  copy: await text('wgsl/copy.wgsl'),
});
const { peers, missing } = await openPeers(peerNames, adapter);
const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`);
say(`${adapter}: ${ceilings.gflops.toFixed(1)} GFLOP/s, ${ceilings.gbps.toFixed(1)} GB/s at most`);
for (const [name, why] of Object.entries(missing)) say(`without ${name}: ${why}`);

const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
/** @type {import('./schema.mjs').Results['cases']} */
const results = [];
for (const name of suiteNames) {
  const { cases } = await suites[name]();
  const chosen = cases.filter((one) => one.name.includes(options.case ?? ''));
  if (chosen.length > 0)
    say(
      `\n${headLine(
        name,
        peers.map((peer) => peer.name),
      )}`,
    );
  for (const one of chosen) {
    try {
      const result = await runCase(one, device, peers, { rounds, budgetMs: 30_000, ceilings, cpuMs });
      results.push(result);
      for (const line of rowLines(
        result,
        peers.map((peer) => peer.name),
      ))
        say(line);
    } catch (error) {
      process.exitCode = 1;
      say(`${one.name}: ${firstLine(error)}`);
    }
  }
}
if (options.json) {
  const { version } = JSON.parse(await text('package.json'));
  /** @type {import('./schema.mjs').Results} */
  const all = {
    adapter,
    platform: `Node ${process.version}, ${availableParallelism()}× ${cpus()[0].model.trim()}`,
    date: new Date().toISOString(),
    versions: { ours: version, ...Object.fromEntries(peers.map((peer) => [peer.name, peer.version])) },
    ceilings,
    cases: results,
    missing,
  };
  await writeFile(options.json, `${JSON.stringify(all, null, 1)}\n`);
}
for (const peer of peers) await peer.close();
device.destroy();

function parsed() {
  try {
    const result = parseArgs({
      options: {
        suite: { type: 'string', default: 'all' },
        peers: { type: 'string' },
        adapter: { type: 'string', default: 'auto' },
        case: { type: 'string' },
        rounds: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (result.values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    return result;
  } catch (error) {
    return refuse(firstLine(error));
  }
}

/** @param {string} message @returns {never} */
function refuse(message) {
  process.stderr.write(`${message}\n\n${HELP}`);
  process.exit(2);
}
