/** What `npm run bench` understands. */
import { parseArgs } from 'node:util';
import { peers as known } from './peers/index.mjs';
import { suiteNames } from './suites.mjs';

export const HELP = `Measures this engine and others on one adapter, in turns.

  --suite NAME    ${[...suiteNames, 'all'].join(' | ')}, or some with commas (all)
  --peers A,B     ${Object.keys(known).join(', ')} (all that load); '' for none
  --adapter NAME  auto, gpu, software, or a part of an adapter's name (auto)
  --case TEXT     only cases whose names contain it
  --rounds N      turns of every engine (7; 3 on SwiftShader)
  --json FILE     writes the results
  --report DIR    writes report.md and report.html
  --browser       runs the page in headless Chromium instead, on its adapter
`;

/**
 * @param {readonly string[]} argv without node and the script
 * @returns options, or `error`: one line for whoever typed them
 */
export function parseOptions(argv) {
  try {
    const { values } = parseArgs({
      args: [...argv],
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
    const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
    if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
      return { error: `--rounds: expected a whole number from 1 on, got '${values.rounds}'` };
    }
    const suites = values.suite === 'all' ? suiteNames : values.suite.split(',');
    const peers = values.peers?.split(',').filter(Boolean) ?? Object.keys(known);
    const unknown = [
      ...suites
        .filter((name) => !suiteNames.includes(name))
        .map((name) => `--suite: there is no suite '${name}'`),
      ...peers.filter((name) => !(name in known)).map((name) => `--peers: there is no peer '${name}'`),
    ];
    return unknown.length > 0 ? { error: unknown[0] } : { ...values, suites, peers, rounds };
  } catch (error) {
    return { error: String(error instanceof Error ? error.message : error).split('\n')[0] };
  }
}
