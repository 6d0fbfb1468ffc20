/** What the processes of `together.node.test.ts` and `peer-lost.node.test.ts` do. Each writes a report: `<folder>/<rank>.json`. */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Group, type Summable, init, shareState, shareValue } from '../src/distributed/index.js';
import { stateDictOf } from '../src/io/state-dict.js';
import { gradients } from './ranks-gradients.js';

const isRank1 = (process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK) === '1';

/** Milliseconds by which rank 1 starts late. */
export const LATE = 3000;

export const hash = (data: ArrayBufferView): string =>
  createHash('sha1')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('base64');

/**
 * Numbers that a process has: whole ones, whose sums are exact in any order. The u32 are below 2³¹, their sums are not:
 * MPICH 4.0 and Open MPI 4.1 compare them as if they had a sign.
 */
export const numbers = {
  f32(rank: number, length: number) {
    const values = new Float32Array(length);
    for (let i = 0; i < length; i++) values[i] = ((i * 7 + rank * 13) % 1000) - 500;
    return values;
  },
  u32(rank: number, length: number) {
    const values = new Uint32Array(length);
    for (let i = 0; i < length; i++) values[i] = i + 2 ** 29 * (rank + 1);
    return values;
  },
};

/** Of one, odd, and 24 MiB, which go in pieces. */
export const REDUCTIONS = [
  ['f32', 'sum', 6 * 2 ** 20 + 1],
  ...(['f32', 'u32'] as const).flatMap((type) =>
    (['sum', 'max'] as const).flatMap((op) => [1, 1001].map((length) => [type, op, length] as const)),
  ),
] as const;

/** Of different lengths, one of them empty, not all of them ASCII. */
export const words = (rank: number): unknown => ['', { 'Wörter 🎨': ['x'.repeat(1000), null] }, 1.5][rank];

/** A tensor a stored type that behaves in its own way. */
export const tensors = () =>
  stateDictOf([
    ['f32', { shape: [2, 3], data: Float32Array.of(1, -2.5, 3e-30, 4, NaN, 6) }],
    ['f16', { shape: [3], data: Float32Array.of(1, 0.5, -65504), dtype: 'f16' }],
    ['u32', { shape: [], data: Uint32Array.of(2 ** 32 - 1) }],
    ['bool', { shape: [5], data: Uint8Array.of(1, 0, 1, 1, 0), dtype: 'bool' }],
    ['i64', { shape: [2], data: BigInt64Array.of(-1n, 2n ** 60n) }],
    ['none', { shape: [0, 4], data: new Float32Array(0) }],
  ]);

async function collectives() {
  if (isRank1) await sleep(LATE);
  const before = performance.now();
  const group = await init();
  const waited = performance.now() - before;
  const { rank, size, localRank } = group;

  const reduced: string[] = [];
  for (const [type, op, length] of REDUCTIONS) {
    reduced.push(hash(await group.allReduce<Summable>(numbers[type](rank, length), op)));
  }
  const fractions = Float32Array.from({ length: 100_003 }, (_, i) => Math.sin(i + rank));
  await group.allReduce(fractions);

  // The values of later calls are there first, and in each process in another order.
  const inOrder = await Promise.all(
    [0, 1, 2, 3, 4].map(async (call) => {
      const value = sleep(((rank + 4 - call) % 5) * 20).then(() => Float32Array.of(10 ** call));
      const [gathered, [sum]] = await Promise.all([group.allGather(call), group.allReduce(value)]);
      return [...gathered, sum];
    }),
  );

  const bytes = Uint8Array.from({ length: 11 }, (_, i) => i + 100 * rank);
  await group.broadcast(bytes.subarray(3, 8));
  const [half] = await group.broadcast(
    sleep(10 * rank).then(() => Float64Array.of(rank + 0.5)),
    1,
  );
  const empty = await group.broadcast(new Uint8Array(0));

  const state = await shareState(group, rank === 0 ? tensors() : null);
  const stored: Record<string, unknown> = {};
  for (const key of state.keys()) {
    const { data, shape, dtype } = await state.get(key);
    stored[key] = [dtype, shape, data.constructor.name, hash(data)];
  }
  const report = {
    rank,
    size,
    localRank,
    waited,
    reduced,
    fractions: hash(fractions),
    inOrder,
    bytes: [...bytes],
    half,
    empty: empty.length,
    words: await group.allGather(words(rank)),
    value: await shareValue(group, rank === 0 ? { Größe: [1, null] } : 'not looked at'),
    stored,
  };
  await group.barrier();
  await group.finalize();
  return report;
}

export type Collectives = Awaited<ReturnType<typeof collectives>>;

/** Works together for ever, unless `fail` ends it, which rank 1 calls in every round. */
async function forEver(
  folder: string,
  fail: (group: Group, round: number) => unknown = () => {},
): Promise<never> {
  process.on('SIGTERM', () => {}); // from mpirun, which may be faster than the reason
  const group = await init({
    onFailure(reason) {
      process.stderr.write(`${reason}\n`);
      write(folder, group.rank, { host: hostname(), reason });
      return 7;
    },
  });
  write(folder, group.rank, { host: hostname(), localRank: group.localRank });
  for (let round = 0; ; round++) {
    await group.allReduce(new Float32Array(1000));
    await sleep(5);
    if (group.rank === 1) await fail(group, round);
  }
}

/** What a process that works for ever says, `reason` when it ends. */
export interface ForEver {
  host: string;
  localRank?: number;
  reason?: string;
}

/** Says what a process knows that nobody started with others. */
async function byItself() {
  const { rank, size, localRank } = await init();
  const libraries = readFileSync('/proc/self/maps', 'utf8').match(/[^/\s]*(mpi|koffi)[^/\s]*/gi) ?? [];
  return { rank, size, localRank, libraries };
}

const late = 100; // rounds: about a second
const cases: Record<string, (folder: string) => Promise<object>> = {
  collectives,
  gradients: async () => gradients(await init()),
  byItself,
  forEver,
  aborts: (folder) => forEver(folder, (group, round) => round === late && group.abort('the disk is full')),
  throws: (folder) =>
    forEver(folder, (_, round) => {
      if (round === late) throw new Error('a mistake');
    }),
  throwsAtOnce: (folder) => {
    if (isRank1) throw new Error('a mistake');
    return forEver(folder);
  },
};

function write(folder: string, rank: number, report: object): void {
  const path = join(folder, `${rank}.json`);
  writeFileSync(`${path}.tmp`, JSON.stringify(report));
  renameSync(`${path}.tmp`, path);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name, folder] = process.argv.slice(2);
  const report = await cases[name](folder);
  write(folder, (await init()).rank, report);
}
