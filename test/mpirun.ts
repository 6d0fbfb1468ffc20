/** Runs programs as several processes, the way clusters do. */
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A command that starts processes: `<command> <flags> -n 2 node program.js`. */
export interface Launcher {
  name: string;
  command: string;
  flags: readonly string[];
}

/** The launchers that there are, by name, and what they call themselves. Distributions that have both add a suffix. */
const known: { name: string; commands: string[]; says: RegExp; flags: string[] }[] = [
  {
    name: 'Open MPI',
    commands: ['mpirun.openmpi', 'mpirun'],
    says: /Open MPI|OpenRTE/,
    // Machines with fewer cores than processes, and containers where everybody is root.
    flags: ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none'],
  },
  { name: 'MPICH', commands: ['mpirun.mpich', 'mpirun'], says: /HYDRA/i, flags: [] },
];

/** The launcher of that name, where it is installed. */
export function findLauncher(name: 'Open MPI' | 'MPICH'): Launcher | null {
  if (process.platform !== 'linux') return null; // /proc tells what is left of a job
  const { commands, says, flags } = known.find((one) => one.name === name)!;
  const command = commands.find((one) =>
    says.test(spawnSync(one, ['--version'], { encoding: 'utf8' }).stdout ?? ''),
  );
  return command ? { name, command, flags } : null;
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Processes that were started together. */
export interface Job {
  /** Once the launcher and every process that came of it are gone. */
  readonly ended: Promise<Ended>;
  /** The ranks whose processes live. */
  living(): number[];
  /** Sends a signal to the process of a rank. */
  signal(rank: number, name: NodeJS.Signals): void;
  /** Kills whatever is left. */
  kill(): void;
}

interface LaunchOptions {
  env?: Record<string, string>;
  /** Folder to run in. */
  cwd?: string;
}

/** Variable that a job's processes inherit: process groups are no help, launchers make groups of their own. */
const MARK = 'TEST_JOB';

/** Starts `size` processes of a command. */
export function launch(
  { command, flags }: Launcher,
  size: number,
  program: readonly string[],
  { env = {}, cwd }: LaunchOptions = {},
): Job {
  const mark = `${MARK}=${randomUUID()}`;
  const child = spawn(command, [...flags, '-n', String(size), ...program], {
    cwd,
    env: { ...process.env, ...env, [MARK]: mark.slice(MARK.length + 1) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  return {
    ended: code.then(async (own) => {
      while (processesOf(mark).length > 0) await sleep(50);
      return { code: own, stdout, stderr };
    }),
    living: () => [...ranksOf(mark).keys()],
    signal(rank, name) {
      const pid = ranksOf(mark).get(rank);
      if (pid === undefined) throw new Error(`there is no rank ${rank}`);
      process.kill(pid, name);
    },
    kill() {
      for (const { pid } of processesOf(mark)) killNow(pid);
    },
  };
}

/** The living processes of a job that have a rank, by it. */
function ranksOf(mark: string): Map<number, number> {
  const found = processesOf(mark).flatMap(({ pid, environment }) => {
    const [, rank] = /^(?:OMPI_COMM_WORLD|PMI)_RANK=(\d+)$/m.exec(environment.join('\n')) ?? [];
    return rank === undefined ? [] : [[Number(rank), pid] as const];
  });
  // Processes that a rank starts have its variables too, and come after it.
  return new Map(found.sort(([, a], [, b]) => b - a));
}

/** The living processes whose environment has that entry. */
function processesOf(entry: string): { pid: number; environment: string[] }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), environment: environmentOf(name) }))
    .filter(({ environment }) => environment.includes(entry));
}

function environmentOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return []; // gone, or somebody else's
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone meanwhile
  }
}
