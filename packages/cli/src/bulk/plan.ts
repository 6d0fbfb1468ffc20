/** Which pictures there are, which tar holds them, and which are drawn together. */
import type { PromptLine } from './prompts.js';

/** A picture to draw. */
export interface Item {
  /** Its number among all pictures of the file. */
  index: number;
  line: PromptLine;
  prompt: string;
  negative: string;
  /** Whose noise it is drawn from: the seed, and the number of the picture in it. */
  seed: number;
  stream: number;
}

export interface PlanOptions {
  /** Of the lines that have none of their own. */
  seed: number;
  negative: string;
  /** Pictures of each line. */
  count: number;
  /** Pictures of a tar. */
  shardSize: number;
  /** Pictures drawn together. */
  batch: number;
}

export interface Plan {
  /** How many tars there are. */
  readonly tars: number;
  /** The pictures of a tar in their order, as they are drawn together; lines without a prompt leave holes. */
  batches: (tar: number) => Item[][];
  /** How many pictures a tar holds. */
  sizeOf: (tar: number) => number;
  /** The lines that a tar begins, from 0: what is wrong with one is told by one tar. */
  linesOf: (tar: number) => number[];
  /** The name of an item in its tar: its number, in as many digits as the last one has, and at least 6. */
  keyOf: (index: number) => string;
}

/**
 * Numbers pictures by line: picture k belongs to line ⌊k / count⌋. Line, tar, batch and noise of a picture follow from its
 * number alone, so that they are the same in whatever process draws it.
 */
export function planPictures(
  lines: readonly (PromptLine | undefined)[],
  { seed, negative, count, shardSize, batch }: PlanOptions,
): Plan {
  const total = lines.length * count;
  const digits = Math.max(6, String(total - 1).length);
  const itemAt = (index: number): Item[] => {
    const line = lines[Math.floor(index / count)];
    if (!line) return [];
    const noise =
      line.seed === undefined ? { seed, stream: index } : { seed: line.seed, stream: index % count };
    return [{ index, line, prompt: line.prompt, negative: line.negative ?? negative, ...noise }];
  };
  const itemsOf = (from: number, to: number): Item[] =>
    Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i).flatMap(itemAt);
  const rangeOf = (tar: number): [number, number] => [
    tar * shardSize,
    Math.min((tar + 1) * shardSize, total),
  ];
  return {
    tars: Math.ceil(total / shardSize),
    batches(tar) {
      const [from, to] = rangeOf(tar);
      const starts = Array.from({ length: Math.ceil((to - from) / batch) }, (_, b) => from + b * batch);
      return starts
        .map((start) => itemsOf(start, Math.min(start + batch, to)))
        .filter((one) => one.length > 0);
    },
    sizeOf: (tar) => itemsOf(...rangeOf(tar)).length,
    linesOf(tar) {
      const [from, to] = rangeOf(tar);
      const first = Math.ceil(from / count);
      return Array.from({ length: Math.max(0, Math.ceil(to / count) - first) }, (_, i) => first + i);
    },
    keyOf: (index) => String(index).padStart(digits, '0'),
  };
}

/** Cuts a batch where the noise of a picture doesn't follow that of the one before. */
export function runsOf(batch: readonly Item[]): Item[][] {
  const runs: Item[][] = [];
  for (const item of batch) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run && last?.seed === item.seed && last.stream + 1 === item.stream) run.push(item);
    else runs.push([item]);
  }
  return runs;
}
