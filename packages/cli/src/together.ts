/** Commands that several processes do together, when `mpirun` or `srun` starts them so. */
import { PaellaError } from '@paella/tensor';
import { type Group, init } from '@paella/tensor/distributed';
import type { Context } from './context.js';
import { reason } from './files.js';
import { type Output, Told, exitCodeOf, reportError } from './output.js';
import { differences } from './run/differences.js';

const silent: Output = {
  result() {},
  note() {},
  progress() {},
  clear() {},
  failure: (error) => reportError(error, { json: false }),
};

/**
 * Runs a command in all processes; the first one speaks for them. SIGTERM, which schedulers send before they end a job,
 * asks to stop as Ctrl-C does.
 *
 * If the command fails in one process, or one is lost, all end, and each says why.
 *
 * @param command may throw `aborted`, or return another error, if all processes do
 * @param giveUp called in that case: cleans up, and says in a sentence what was saved and how to go on
 */
export async function together(
  context: Context,
  command: (group: Group) => Promise<PaellaError | void>,
  giveUp: () => string,
): Promise<void> {
  context.stopOn('SIGTERM');
  let own: unknown;
  const group = await init({
    onFailure(what) {
      const error = own ?? new PaellaError('peer-lost', what);
      const left = giveUp();
      if (error instanceof Error && left) error.message = `${error.message.replace(/\.$/, '')}. ${left}`;
      return context.out.failure(error);
    },
  });
  if (group.rank > 0) context.out = silent;
  let common: unknown;
  try {
    common = await command(group);
  } catch (error) {
    if (group.size > 1 && !(error instanceof PaellaError && error.code === 'aborted')) {
      own = error;
      await group.abort(`rank ${group.rank}: ${reason(error)}`);
    }
    common = error;
  }
  // Said before anybody leaves with an exit code: launchers end the others then.
  if (common !== undefined && group.rank === 0) context.out.failure(common);
  await group.finalize();
  if (common !== undefined) throw new Told(exitCodeOf(common));
}

/**
 * Makes sure that all processes were started alike.
 *
 * @throws PaellaError `argument` naming what differs
 */
export async function agree(group: Group, what: Record<string, unknown>): Promise<void> {
  const all = await group.allGather(what);
  for (const [rank, own] of all.entries()) {
    const [first] = differences(all[0], own);
    if (!first) continue;
    const show = (value: unknown): string => JSON.stringify(value) ?? 'absent';
    throw new PaellaError(
      'argument',
      `${first.key} is ${show(first.was)} in rank 0, and ${show(first.is)} in rank ${rank}`,
      { fix: 'Start all processes with the same version, command and configuration, on the same data.' },
    );
  }
}
