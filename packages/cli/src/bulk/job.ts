/** The loop of bulk work: the tars of a shard that are not there yet, one after the other. */
import { PaellaError } from '@paella/tensor';
import type { Context } from '../context.js';
import type { BulkFolder, Content, TarRecord } from './folder.js';
import { Progress, duration } from './progress.js';
import type { Shard } from './shard.js';

export interface Maker {
  /** Makes what goes into a tar, and tells of items as they get ready; null if that cannot be done now. */
  make: (tar: number, ready: (items: number) => void) => Promise<Content | null>;
  /** What writes down who made it. */
  by: Pick<TarRecord, 'adapter' | 'version'>;
}

export interface Job {
  folder: BulkFolder;
  shard: Shard;
  /** Items of a tar, null where only reading its source would tell. */
  sizeOf: (tar: number) => number | null;
  /** Gets ready to make tars: loads the model. It is not called where nothing is left to do. */
  prepare: () => Promise<Maker>;
}

/** What a process did, as `--json` prints it. */
export interface Summary {
  out: string;
  shard: string;
  /** The shard's tars that are complete now. */
  tars: string[];
  /** Items made by this process. */
  items: number;
  /** Items that were there before. */
  skipped: number;
  /** Items of the shard that cannot be made, and what is wrong with them. */
  failed: number;
  failures: string[];
  /** Tars that another process of this machine is making. */
  elsewhere: number;
  /** The list of everything, once all shards are complete. */
  manifest: string | null;
  seconds: number;
}

const failuresShown = 20;

/**
 * Makes the tars `t` with `t mod count = index` that are not complete.
 *
 * @throws PaellaError `aborted` after Ctrl-C, `not-found` if some tars could not be made
 */
export async function runJob(context: Context, job: Job): Promise<Summary> {
  const { folder, shard } = job;
  const mine: number[] = [];
  for (let tar = shard.index; tar < folder.work.tars; tar += shard.count) mine.push(tar);
  const before = mine.flatMap((tar) => folder.record(tar) ?? []);
  const left = mine.filter((tar) => !folder.record(tar));
  if (mine.length === 0) {
    context.out.note(
      `nothing to do for shard ${shard.index}/${shard.count}: there are ${folder.work.tars} tars. ` +
        'A smaller --shard-size makes more of them',
    );
  }
  const { items, elsewhere, seconds } = left.length > 0 ? await makeTars(context, job, left) : nothingLeft;
  const records = mine.flatMap((tar) => folder.record(tar) ?? []);
  const failures = records.flatMap(({ failed }) => failed.map(({ name, reason }) => `${name}: ${reason}`));
  return {
    out: folder.path,
    shard: `${shard.index}/${shard.count}`,
    tars: records.map(({ tar }) => tar),
    items,
    skipped: before.reduce((sum, record) => sum + record.items, 0),
    failed: failures.length,
    failures: failures.slice(0, failuresShown),
    elsewhere,
    manifest: folder.finish(),
    seconds,
  };
}

const nothingLeft = { items: 0, elsewhere: 0, seconds: 0 };

async function makeTars(
  context: Context,
  { folder, sizeOf, prepare }: Job,
  left: readonly number[],
): Promise<typeof nothingLeft> {
  const { make, by } = await prepare();
  const sizes = left.map(sizeOf);
  const total = sizes.every((size) => size !== null) ? sizes.reduce((a, b) => a + b, 0) : null;
  const progress = new Progress(context.out, left.length, total);
  let items = 0;
  let elsewhere = 0;
  const unmade: string[] = [];
  for (const tar of left) {
    const release = folder.claim(tar);
    if (!release) {
      elsewhere++;
      progress.leave(sizeOf(tar));
      context.out.note(`${folder.name(tar)} is being made by another process`);
      continue;
    }
    try {
      context.checkInterrupt();
      if (folder.record(tar)) {
        progress.leave(sizeOf(tar)); // another process made it meanwhile
        continue;
      }
      const content = await make(tar, (ready) => {
        progress.add(ready);
        context.checkInterrupt();
      });
      if (!content) {
        progress.leave(sizeOf(tar));
        unmade.push(folder.name(tar));
        continue;
      }
      await folder.write(tar, content, by);
      items += content.items;
      progress.tar(folder.name(tar));
    } catch (error) {
      if (!(error instanceof PaellaError && error.code === 'aborted')) throw error;
      const there = left.filter((one) => folder.record(one)).length;
      throw new PaellaError('aborted', `stopped with ${left.length - there} tars to go; complete ones stay`, {
        fix: 'Run the same command again to go on.',
      });
    } finally {
      release();
    }
  }
  if (unmade.length > 0) {
    throw new PaellaError(
      'not-found',
      `${unmade.length} tars could not be made: ${unmade.slice(0, 5).join(', ')}`,
      {
        fix: 'Run the same command again to try again.',
      },
    );
  }
  context.out.note(`${duration(progress.seconds)} in all`);
  return { items, elsewhere, seconds: progress.seconds };
}
