/** Which share of the work a process does, as told by its options or by the scheduler that started it. */
import { InvalidArgumentError } from 'commander';

/** Process `index` of `count`, from 0. */
export interface Shard {
  index: number;
  count: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** How a scheduler numbers the tasks of an array: by variables of the environment. */
interface Scheduler {
  name: string;
  index: string;
  /** How many tasks there are; not every scheduler says. */
  count?: string;
  /** The number of the first task, and the step between two; 0 and 1 where there is no such variable. */
  first?: string;
  step?: string;
}

const schedulers: readonly Scheduler[] = [
  {
    name: 'Slurm',
    index: 'SLURM_ARRAY_TASK_ID',
    count: 'SLURM_ARRAY_TASK_COUNT',
    first: 'SLURM_ARRAY_TASK_MIN',
    step: 'SLURM_ARRAY_TASK_STEP',
  },
  { name: 'Kubernetes', index: 'JOB_COMPLETION_INDEX' },
  { name: 'AWS Batch', index: 'AWS_BATCH_JOB_ARRAY_INDEX', count: 'AWS_BATCH_JOB_ARRAY_SIZE' },
  { name: 'Google Batch', index: 'BATCH_TASK_INDEX', count: 'BATCH_TASK_COUNT' },
  { name: 'Cloud Run', index: 'CLOUD_RUN_TASK_INDEX', count: 'CLOUD_RUN_TASK_COUNT' },
  { name: 'PBS', index: 'PBS_ARRAY_INDEX' },
];

/**
 * Reads `--shard`: `3/8`, `auto` for what the scheduler says, or `auto/8` for its index and a count of one's own, which
 * stays right when only some tasks of an array are submitted again.
 *
 * @throws commander's error, which ends in exit code 2
 */
export function parseShard(text: string, environment: Environment = process.env): Shard {
  const match = /^(auto|\d+)(?:\/(\d+))?$/.exec(text.trim());
  if (!match || (match[1] !== 'auto' && !match[2])) {
    throw new InvalidArgumentError("Expected index/count from 0/1 on, such as 3/8, or 'auto', or auto/8.");
  }
  const count = match[2] === undefined ? null : Number(match[2]);
  const shard =
    match[1] === 'auto' ? scheduled(environment, count) : { index: Number(match[1]), count: count ?? 1 };
  if (shard.count < 1 || shard.index >= shard.count) {
    throw new InvalidArgumentError(
      `There is no shard ${shard.index} of ${shard.count}: the first is 0, the last is the count less one.`,
    );
  }
  return shard;
}

function scheduled(environment: Environment, count: number | null): Shard {
  const scheduler = schedulers.find(({ index }) => environment[index] !== undefined);
  if (!scheduler) {
    const known = schedulers.map(({ name, index }) => `${index} (${name})`).join(', ');
    throw new InvalidArgumentError(`Nothing says which shard this is: none of ${known} is set.`);
  }
  const read = (variable: string | undefined, otherwise: number): number => {
    const value = variable === undefined ? undefined : environment[variable];
    if (value === undefined) return otherwise;
    if (/^\d+$/.test(value)) return Number(value);
    throw new InvalidArgumentError(`${variable} is no whole number: '${value}'.`);
  };
  const index = read(scheduler.index, 0);
  if (count !== null) return { index, count };
  if (scheduler.count === undefined || environment[scheduler.count] === undefined) {
    throw new InvalidArgumentError(
      `${scheduler.name} doesn't say how many shards there are: pass auto/COUNT.`,
    );
  }
  const place = (index - read(scheduler.first, 0)) / read(scheduler.step, 1);
  const shard = { index: place, count: read(scheduler.count, 1) };
  if (Number.isInteger(place) && place >= 0 && place < shard.count) return shard;
  throw new InvalidArgumentError(
    `Task ${index} of ${shard.count} has no place in an array with gaps: pass auto/COUNT, the count of the whole array.`,
  );
}
