/** The loop of bulk work: the tars of a shard that are not there yet, one after the other. */
import { type ErrorCode, PaellaError } from '@paella/tensor';
import { type Group, alone, shareValue } from '@paella/tensor/distributed';
import type { Context } from '../context.js';
import type { BulkFolder, Content, TarRecord } from './folder.js';
import { Progress, duration } from './progress.js';
import type { Shard } from './shard.js';

export interface Maker {
  /** Makes what goes into a tar, and tells of items as they get ready; says why if that cannot be done now. */
  make: (tar: number, ready: (items: number) => void) => Promise<Content | string>;
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

/** What was done, as `--json` prints it. */
export interface Summary {
  out: string;
  shard: string;
  /** The shard's tars that are complete now. */
  tars: string[];
  /** Items made now. */
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

/** What became of one process's share. */
interface Outcome {
  /** Its tars that are complete. */
  complete: number[];
  items: number;
  skipped: number;
  elsewhere: number;
  /** Tars that could not be made, and why. */
  unmade: string[];
  /** Tars that are missing because of Ctrl-C. */
  stoppedBefore: number;
  seconds: number;
}

/** A summary, or what became of the work instead; as JSON carries it. */
type Conclusion = { summary: Summary } | { code: ErrorCode; message: string; fix: string };

const failuresShown = 20;
const namesShown = 5;

/**
 * Makes the tars `t` with `t mod count = index` that are not complete. Of a group's processes each makes every `size`-th
 * of them, and waits for the others.
 *
 * @returns the same for all processes: what they did together, or an error; `aborted` after Ctrl-C in any of them,
 *   `argument` if they don't share the folder, `not-found` if some tars could not be made
 */
export async function runJob(
  context: Context,
  job: Job,
  group: Group = alone,
): Promise<Summary | PaellaError> {
  const { folder, shard } = job;
  const tars: number[] = [];
  for (let tar = shard.index; tar < folder.work.tars; tar += shard.count) tars.push(tar);
  if (tars.length < group.size) {
    const who =
      group.size === 1
        ? `shard ${shard.index}/${shard.count}`
        : `${group.size - tars.length} of ${group.size} processes`;
    context.out.note(
      `nothing to do for ${who}: there are ${folder.work.tars} tars. A smaller --shard-size makes more of them`,
    );
  }
  const own = tars.filter((_, i) => i % group.size === group.rank);
  // Everybody has written what it can when these have come.
  const outcomes = await group.allGather(await makeShare(context, job, own, group));
  const concluded = group.rank === 0 ? conclude(context, job, tars, outcomes) : null;
  const conclusion = (await shareValue(group, concluded))!;
  if ('summary' in conclusion) return conclusion.summary;
  return new PaellaError(conclusion.code, conclusion.message, { fix: conclusion.fix });
}

async function makeShare(
  context: Context,
  job: Job,
  share: readonly number[],
  group: Group,
): Promise<Outcome> {
  const { folder } = job;
  const isComplete = (tar: number): boolean => folder.record(tar) !== null;
  const before = share.flatMap((tar) => folder.record(tar) ?? []);
  const left = share.filter((tar) => !isComplete(tar));
  const outcome: Outcome = {
    complete: [],
    items: 0,
    skipped: before.reduce((sum, { items }) => sum + items, 0),
    elsewhere: 0,
    unmade: [],
    stoppedBefore: 0,
    seconds: 0,
  };
  try {
    if (left.length > 0) await makeTars(context, job, left, outcome, group);
  } catch (error) {
    if (!(error instanceof PaellaError && error.code === 'aborted')) throw error;
    outcome.stoppedBefore = left.filter((tar) => !isComplete(tar)).length;
  }
  outcome.complete = share.filter(isComplete);
  return outcome;
}

/** Makes tars, and counts in `outcome` what became of them. */
async function makeTars(
  context: Context,
  { folder, sizeOf, prepare }: Job,
  left: readonly number[],
  outcome: Outcome,
  group: Group,
): Promise<void> {
  const { make, by } = await prepare();
  const sizes = left.map(sizeOf);
  const total = sizes.every((size) => size !== null) ? sizes.reduce((a, b) => a + b, 0) : null;
  const progress = new Progress(context.out, left.length, total, group);
  for (const tar of left) {
    const release = folder.claim(tar);
    if (!release) {
      outcome.elsewhere++;
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
      if (typeof content === 'string') {
        progress.leave(sizeOf(tar));
        outcome.unmade.push(`${folder.name(tar)} (${content})`);
        context.out.note(content);
        continue;
      }
      await folder.write(tar, content, by);
      outcome.items += content.items;
      progress.tar(folder.name(tar));
    } finally {
      release();
    }
  }
  outcome.seconds = progress.seconds;
}

/** Writes the manifest if it is time, and says in one for all processes what they did. */
function conclude(
  { out }: Context,
  { folder, shard }: Job,
  tars: readonly number[],
  outcomes: readonly Outcome[],
): Conclusion {
  const sum = (count: (outcome: Outcome) => number): number =>
    outcomes.reduce((total, outcome) => total + count(outcome), 0);
  const stoppedBefore = sum((outcome) => outcome.stoppedBefore);
  if (stoppedBefore > 0) {
    return {
      code: 'aborted',
      message: `stopped with ${stoppedBefore} tars to go; complete ones stay`,
      fix: 'Run the same command again to go on.',
    };
  }
  const records = new Map(tars.flatMap((tar) => [[tar, folder.record(tar)]]));
  const unseen = outcomes.flatMap(({ complete }) => complete).filter((tar) => !records.get(tar));
  if (unseen.length > 0) {
    return {
      code: 'argument',
      message: `rank 0 doesn't see ${unseen.length} of the tars that the others made: ${firstOf(unseen.map((tar) => folder.name(tar)))}`,
      fix:
        `--out ${folder.path} must be one folder that all hosts share: with the files of theirs copied into that of rank 0, ` +
        'the same command ends at once.',
    };
  }
  const unmade = outcomes.flatMap((outcome) => outcome.unmade);
  if (unmade.length > 0) {
    return {
      code: 'not-found',
      message: `${unmade.length} tars could not be made: ${firstOf(unmade)}`,
      fix: 'Run the same command again to try again.',
    };
  }
  const seconds = Math.max(...outcomes.map((outcome) => outcome.seconds));
  if (seconds > 0) out.note(`${duration(seconds)} in all`);
  const there = [...records.values()].flatMap((record) => record ?? []);
  const failures = there.flatMap(({ failed }) => failed.map(({ name, reason }) => `${name}: ${reason}`));
  const summary = {
    out: folder.path,
    shard: `${shard.index}/${shard.count}`,
    tars: there.map(({ tar }) => tar),
    items: sum(({ items }) => items),
    skipped: sum(({ skipped }) => skipped),
    failed: failures.length,
    failures: failures.slice(0, failuresShown),
    elsewhere: sum(({ elsewhere }) => elsewhere),
    manifest: folder.finish(),
    seconds,
  };
  return { summary };
}

const firstOf = (names: readonly string[]): string =>
  names.slice(0, namesShown).join(', ') + (names.length > namesShown ? ', …' : '');
