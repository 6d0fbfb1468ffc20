import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Hosts, twoHosts, whyNoHosts } from '../../../test/hosts.js';
import { findLauncher } from '../../../test/mpirun.js';
import { Ranks } from './ranks-run.js';
import type { ForEver } from './ranks.js';

/** Seconds in which all must have ended. */
const LIMIT = 30;

let ranks: Ranks;
beforeAll(async () => void (ranks = await Ranks.build()));
afterAll(() => ranks.close());

const secondsSince = (start: number): number => (performance.now() - start) / 1000;

interface Failure {
  what: string;
  under: 'Open MPI' | 'MPICH';
  /** The case of the program, which works for ever unless it fails by itself. */
  name?: string;
  /** What happens to a process that works for ever. */
  signal?: { name: 'SIGKILL' | 'SIGSTOP'; rank: number };
  /** What is on stderr in the end. */
  says: RegExp;
}

const silent = (rank: number): RegExp =>
  new RegExp(`rank ${rank} \\(${hostname()}\\) has said nothing for 20 seconds`);
const gone = (rank: number): RegExp => new RegExp(`rank ${rank} \\(${hostname()}\\) is gone`);

const failures: Failure[] = [
  { what: 'rank 1 stops', under: 'Open MPI', signal: { name: 'SIGSTOP', rank: 1 }, says: silent(1) },
  { what: 'rank 0 stops', under: 'Open MPI', signal: { name: 'SIGSTOP', rank: 0 }, says: silent(0) },
  { what: 'rank 1 stops', under: 'MPICH', signal: { name: 'SIGSTOP', rank: 1 }, says: silent(1) },
  { what: 'rank 1 is killed', under: 'Open MPI', signal: { name: 'SIGKILL', rank: 1 }, says: gone(1) },
  { what: 'rank 0 is killed', under: 'Open MPI', signal: { name: 'SIGKILL', rank: 0 }, says: gone(0) },
  { what: 'rank 1 throws', under: 'Open MPI', name: 'throws', says: gone(1) },
  // MPICH's mpirun lets the others wait for ever.
  { what: 'rank 1 never joins', under: 'Open MPI', name: 'throwsAtOnce', says: /Error: a mistake/ },
  { what: 'rank 1 gives up', under: 'Open MPI', name: 'aborts', says: /(the disk is full\s+){3}/ },
  { what: 'rank 1 gives up', under: 'MPICH', name: 'aborts', says: /the disk is full/ },
];

const obstacle = whyNoHosts();

// What takes long is waiting: all of it at the same time, five to begin with, the longest ones first.
describe.concurrent('all processes end within half a minute, and say why', () => {
  let hosts: Hosts[] = [];
  beforeAll(() => {
    if (!obstacle) hosts = [twoHosts(), twoHosts()];
  });
  afterAll(() => {
    for (const pair of hosts) pair.close();
  });

  /** Has a process on each of two hosts work together, and cuts the cable. */
  async function cut(pair: Hosts, flags: readonly string[] = []) {
    const { launcher } = pair;
    const job = await ranks.start({ ...launcher, flags: [...launcher.flags, ...flags] }, 2, 'forEver');
    const before = await job.reports<ForEver>();
    await sleep(200);
    pair.cut();
    return { job, before, start: performance.now() };
  }

  describe.skipIf(obstacle)(`on two hosts (skipped where they cannot be: ${obstacle ?? 'they can'})`, () => {
    it('when the cable between them is cut', async () => {
      const [pair] = hosts;
      const { job, before, start } = await cut(pair);
      expect(before).toEqual(pair.names.map((host) => ({ host, localRank: 0 })));
      while (job.living().length > 0) await sleep(100);
      expect(secondsSince(start)).toBeLessThan(LIMIT);
      const after = await job.reports<ForEver>();
      expect(after.map(({ reason }) => reason)).toEqual(
        [1, 0].map((rank) => `rank ${rank} (${pair.names[rank]}) has said nothing for 20 seconds`),
      );
      job.kill(); // mpirun itself waits for its other half until TCP gives up, a quarter of an hour
      await job.ended;
    });

    it('when it is cut, and mpirun was told to look whether its other half is there', async () => {
      const settings = {
        oob_tcp_keepalive_time: '5',
        oob_tcp_keepalive_intvl: '1',
        oob_tcp_keepalive_probes: '3',
      };
      const flags = Object.entries(settings).flatMap((setting) => ['--mca', ...setting]);
      const { job, start } = await cut(hosts[1], flags);
      const { code, stderr } = await job.ended;
      expect(secondsSince(start)).toBeLessThan(LIMIT);
      expect(stderr).toMatch(/lost communication with a remote daemon/);
      expect(code).toBeGreaterThan(0);
    });
  });

  for (const { what, under, name = 'forEver', signal, says } of failures) {
    const launcher = findLauncher(under)!;
    it.skipIf(!launcher)(
      `when ${what}, under ${under} (skipped where there is no mpirun of it)`,
      async () => {
        const job = await ranks.start(launcher, 3, name);
        if (signal) {
          await job.reports();
          await sleep(200);
          job.signal(signal.rank, signal.name);
        }
        const start = performance.now();
        const { code, stderr } = await job.ended;
        expect(secondsSince(start)).toBeLessThan(LIMIT);
        expect(stderr).toMatch(says);
        expect(code).toBeGreaterThan(0);
      },
    );
  }
});
