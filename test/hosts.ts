/** Two hosts on one machine: network namespaces that are joined by a cable. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Launcher, findLauncher } from './mpirun.js';

export interface Hosts {
  /** Open MPI's, over TCP: ranks from 0 on run on the first host, up to its slots, the others on the second. */
  launcher: Launcher;
  /** What the hosts call themselves. */
  names: readonly string[];
  /** Pulls the cable out. */
  cut(): void;
  /** Takes the hosts down. What runs there should have ended. */
  close(): void;
}

const CABLE = 'cable';
let count = 0;

/** What keeps two hosts from being set up here, null if nothing does: it has to be tried. */
export function whyNoHosts(): string | null {
  if (!findLauncher('Open MPI')) return 'without Open MPI';
  try {
    twoHosts().close();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Sets two hosts up. Needs root, iproute2 and Open MPI.
 *
 * @param slots processes a host
 * @throws Error where namespaces are not allowed
 */
export function twoHosts(slots = 1): Hosts {
  const id = `paella-${process.pid}-${count++}`;
  const hosts = ['a', 'b'].map((letter, i) => ({ name: `${id}${letter}`, address: `10.0.0.${i + 1}` }));
  const [a, b] = hosts;
  const folder = mkdtempSync(join(tmpdir(), 'paella-hosts-'));
  const close = (): void => {
    for (const { name } of hosts) attempt('ip', 'netns', 'del', name);
    rmSync(folder, { recursive: true, force: true });
  };
  const script = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return path;
  };
  try {
    for (const { name } of hosts) run('ip', 'netns', 'add', name);
    run('ip', 'link', 'add', CABLE, 'netns', a.name, 'type', 'veth', 'peer', 'name', CABLE, 'netns', b.name);
    for (const { name, address } of hosts) {
      run('ip', '-n', name, 'addr', 'add', `${address}/24`, 'dev', CABLE);
      for (const device of ['lo', CABLE]) run('ip', '-n', name, 'link', 'set', device, 'up');
    }
    const [onA, onB] = hosts.map(({ name }) => {
      const rename = `echo ${name} > /proc/sys/kernel/hostname && exec "$@"`;
      return script(name, `exec ip netns exec ${name} unshare --uts sh -c '${rename}' sh "$@"`);
    });
    run(onA, 'true'); // a host name of one's own may be forbidden too
    // In the place of ssh, which gets a host and a command line.
    const agent = script('agent', `shift\nexec ${onB} sh -c "$*"`);
    const { command, flags } = findLauncher('Open MPI')!;
    const settings = {
      plm_rsh_agent: agent,
      btl: 'tcp,self',
      btl_tcp_if_include: CABLE,
      oob_tcp_if_include: CABLE,
    };
    return {
      launcher: {
        name: 'Open MPI on two hosts',
        command: onA,
        flags: [
          command,
          ...flags,
          ...Object.entries(settings).flatMap(([name, value]) => ['--mca', name, value]),
          '--host',
          hosts.map(({ address }) => `${address}:${slots}`).join(),
        ],
      },
      names: hosts.map(({ name }) => name),
      cut: () => run('ip', '-n', a.name, 'link', 'set', CABLE, 'down'),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Runs a command, and returns what went wrong. */
function attempt(command: string, ...args: string[]): string | null {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? null : `${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`;
}

function run(command: string, ...args: string[]): void {
  const problem = attempt(command, ...args);
  if (problem) throw new Error(problem);
}
