/** Commands for bulk work: in one process, in many that know nothing of each other, or in those of a launcher. */
import { PaellaError } from '@paella/tensor';
import type { Group } from '@paella/tensor/distributed';
import type { Context } from '../context.js';
import { agree, together } from '../together.js';
import { BulkFolder, type Work } from './folder.js';
import { type Job, type Summary, runJob } from './job.js';
import type { BulkOptions } from './options.js';

export interface BulkRun extends Pick<Job, 'sizeOf' | 'prepare'> {
  work: Work;
}

/**
 * Does bulk work, and prints what was done.
 *
 * @param what the items are called
 * @param plan finds out what the work is, in every process
 */
export async function runBulk(
  context: Context,
  { out, shard }: BulkOptions & { out: string },
  { what, version }: { what: string; version: string },
  plan: (group: Group) => Promise<BulkRun>,
): Promise<void> {
  let hasBegun = false;
  const run = async (group: Group): Promise<PaellaError | void> => {
    const planned = await inAll(group, () => plan(group));
    if (planned instanceof PaellaError) return planned;
    const { work, ...maker } = planned;
    // One begins the folder: where a file system has no hard links, others could read half of its settings.
    const begun = await inAll(group, async () => {
      await agree(group, { version, out, shard, ...work.settings });
      return group.rank === 0 ? BulkFolder.open(out, work) : null;
    });
    if (begun instanceof PaellaError) return begun;
    const folder = begun ?? BulkFolder.open(out, work);
    hasBegun = true;
    const result = await runJob(context, { folder, shard, ...maker }, group);
    if (result instanceof PaellaError) return result;
    report(context, result, what);
  };
  await together(context, run, () => (hasBegun ? 'Complete tars stay, and the same command goes on' : ''));
}

/**
 * Does something in all processes of a group.
 *
 * @returns what came of it, or, in all processes, the error that it ran into in any
 */
async function inAll<T>(group: Group, work: () => Promise<T>): Promise<T | PaellaError> {
  const own = await work().catch((error: unknown) => {
    if (error instanceof PaellaError) return error;
    throw error;
  });
  const error = own instanceof PaellaError ? own : null;
  const all = await group.allGather(error && { code: error.code, message: error.message });
  const rank = all.findIndex((one) => one !== null);
  if (rank === -1 || error) return own;
  const { code, message } = all[rank]!;
  return new PaellaError(code, `rank ${rank}: ${message}`);
}

function report({ out }: Context, summary: Summary, what: string): void {
  const { tars, items, skipped, failed, failures, elsewhere, manifest } = summary;
  if (failed > 0) out.note(`${failed} failed: ${failures.slice(0, 5).join('; ')}`);
  out.result(summary, [
    `${items} ${what} made, ${skipped} there before, in ${tars.length === 1 ? '1 tar' : `${tars.length} tars`} of ${summary.out}`,
    ...(elsewhere > 0 ? [`${elsewhere} tars are being made by other processes`] : []),
    manifest ?? 'manifest.json comes with the last tar of all shards',
  ]);
}
