/// <reference types="node" />
/**
 * Work of several processes, on one host or many, over the MPI that a cluster has. For Node.
 *
 * ```sh
 * mpirun -n 2 node train.js
 * ```
 */
import { type Group, alone } from './group.js';
import { launcherOf } from './launcher.js';
import { startMpi } from './mpi.js';
import { MpiGroup } from './mpi-group.js';

export { alone, type Group, type Summable } from './group.js';
export { GradientSum, type GradientSumOptions } from './gradient-sum.js';
export { shareState, shareValue } from './share.js';
export { firstDifference } from './weights.js';

export interface InitOptions {
  /**
   * Hears why the group cannot go on, once, and returns the exit code that the process ends with at once. By default
   * the reason is written to stderr, and the code is 1.
   */
  onFailure?: (reason: string) => number;
}

let group: Promise<Group> | undefined;

/**
 * Joins the processes that `mpirun` or `srun` started along with this one, and waits for all of them. A process that was
 * started by itself is alone, and loads nothing.
 *
 * From then on a process that dies, is stopped, or cannot be reached any more ends them all within half a minute.
 *
 * @throws PaellaError `unsupported` if MPI, or what calls it, is missing, or processes cannot reach each other
 */
export function init(options: InitOptions = {}): Promise<Group> {
  group ??= join(options);
  return group;
}

async function join({ onFailure = writeError }: InitOptions): Promise<Group> {
  const launcher = launcherOf(process.env);
  if (!launcher) return alone;
  const mpi = await startMpi(launcher, process.env);
  return MpiGroup.open(mpi, (reason) => mpi.exit(onFailure(reason)));
}

function writeError(reason: string): number {
  process.stderr.write(`${reason}\n`);
  return 1;
}
