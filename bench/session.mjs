/** A whole measurement, in Node or in a page: peers, ceilings, suites, and the results as one object. */
import { measureCeilings } from './ceilings.mjs';
import { measureOverhead } from './overhead.mjs';
import { openPeers } from './peers/open.mjs';
import { firstLine, runCase, withCeilings } from './run.mjs';
import { suites } from './suites.mjs';
import { factLines, headLine, rowLine, short } from './table.mjs';

/** @typedef {import('./schema.mjs').Results} Results */

/**
 * @typedef {object} Session
 * @property {readonly string[]} suites names, `overhead` among them
 * @property {readonly string[]} peers names
 * @property {string} [filter] only cases whose names contain it
 * @property {number} rounds at most, of a case
 * @property {string} platform what runs this
 * @property {Record<string, string>} versions of this engine and of what it runs on
 * @property {{ fma: string, copy: string }} wgsl the kernels of the ceilings
 * @property {() => number} [cpuMs] this process' time so far, where the platform tells
 * @property {(line: string) => void} say is told lines of a table as they come
 */

/** Of a case's rounds, in ms: then it has had enough turns, even if they are few. */
const BUDGET = 30_000;

/**
 * @param {import('@paella/tensor').Device} device
 * @param {Session} session
 * @returns {Promise<{ results: Results, failed: string[] }>} `failed` names the cases that this engine could not run
 */
export async function runSession(device, session) {
  const { say, rounds, cpuMs } = session;
  const adapter = device.info.name;
  const measured = await measureCeilings(adapter, session.wgsl);
  const { peers, missing } = await openPeers(session.peers, adapter);
  const names = peers.map(({ name }) => name);
  const { gflops, gbps, kernelGbps } = measured;
  const limits = `${short(gflops)} GFLOP/s, ${short(gbps)} GB/s (${short(kernelGbps)} by a kernel)`;
  say(`${adapter}: at most ${limits}`);
  for (const [name, why] of Object.entries(missing)) say(`without ${name}: ${why}`);

  /** @type {import('./schema.mjs').CaseResult[]} */
  const cases = [];
  /** @type {import('./schema.mjs').Fact[]} */
  const facts = [];
  /** @type {string[]} */
  const failed = [];
  for (const suite of session.suites.filter((name) => name in suites)) {
    const all = (await suites[suite]()).cases;
    const chosen = all.filter(({ name }) => name.includes(session.filter ?? ''));
    if (chosen.length > 0) say(`\n${headLine(suite, names)}`);
    for (const one of chosen) {
      try {
        const result = withCeilings(
          await runCase(one, device, peers, { rounds, budgetMs: BUDGET, cpuMs }),
          measured,
        );
        cases.push(result);
        say(rowLine(result, names));
        for (const [peer, why] of Object.entries(result.left)) say(`  without ${peer}: ${why}`);
      } catch (error) {
        failed.push(one.name);
        say(`${one.name}: failed: ${firstLine(error)}`);
      }
    }
  }
  if (session.suites.includes('overhead') && !session.filter) {
    facts.push(...(await measureOverhead(device, rounds)));
    for (const line of factLines(facts)) say(line);
  }
  for (const peer of peers) await peer.close();

  // Something else may have taken the processor the first time.
  const again = await measureCeilings(adapter, session.wgsl);
  const ceilings = {
    gflops: Math.max(measured.gflops, again.gflops),
    gbps: Math.max(measured.gbps, again.gbps),
    kernelGbps: Math.max(measured.kernelGbps, again.kernelGbps),
  };
  const results = {
    adapter,
    platform: session.platform,
    date: new Date().toISOString(),
    versions: {
      ...session.versions,
      ...Object.fromEntries(peers.map(({ name, version }) => [name, version])),
    },
    ceilings,
    cases: [...cases.map((one) => withCeilings(one, ceilings)), ...facts],
    missing,
  };
  return { results, failed };
}
