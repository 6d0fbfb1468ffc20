import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLauncher } from '../../../test/mpirun.js';
import { DTYPES } from '../src/io/dtype.js';
import { checkGradients } from './check-gradients.js';
import type { Gradients } from './ranks-gradients.js';
import { Ranks } from './ranks-run.js';
import { type Collectives, LATE, REDUCTIONS, hash, numbers, tensors, words } from './ranks.js';

let ranks: Ranks;
beforeAll(async () => void (ranks = await Ranks.build()));
afterAll(() => ranks.close());

describe.each(['Open MPI', 'MPICH'] as const)('under %s', (name) => {
  const launcher = findLauncher(name)!;

  describe.skipIf(!launcher)('three processes (skipped where there is no mpirun of it)', () => {
    let all: Collectives[];
    beforeAll(async () => void (all = await ranks.run<Collectives>(launcher, 3, 'collectives')));

    it('know who they are, and wait for one that is late', () => {
      expect(all.map(({ rank, size, localRank }) => [rank, size, localRank])).toEqual([
        [0, 3, 0],
        [1, 3, 1],
        [2, 3, 2],
      ]);
      expect(Math.min(all[0].waited, all[2].waited)).toBeGreaterThan(LATE / 2);
    });

    it('add numbers up, and find the largest', () => {
      const expected = REDUCTIONS.map(([type, op, length]) => {
        const [result, b, c] = [0, 1, 2].map((rank) => numbers[type](rank, length));
        for (let i = 0; i < length; i++) {
          result[i] = op === 'sum' ? result[i] + b[i] + c[i] : Math.max(result[i], b[i], c[i]);
        }
        return hash(result);
      });
      for (const { reduced } of all) expect(reduced).toEqual(expected);
    });

    it('get the same bits where sums depend on the order', () => {
      expect(new Set(all.map(({ fractions }) => fractions)).size).toBe(1);
    });

    it('make calls in order, though their values come in other orders', () => {
      const expected = [0, 1, 2, 3, 4].map((call) => [call, call, call, 3 * 10 ** call]);
      for (const { inOrder } of all) expect(inOrder).toEqual(expected);
    });

    it('broadcast from one of them, and leave the bytes around alone', () => {
      for (const { rank, bytes, half, empty } of all) {
        const own = Array.from({ length: 11 }, (_, i) => i + 100 * rank);
        expect(bytes).toEqual([...own.slice(0, 3), 3, 4, 5, 6, 7, ...own.slice(8)]);
        expect([half, empty]).toEqual([1.5, 0]);
      }
    });

    it('share what JSON carries, and tensors of every kind', async () => {
      const state = tensors();
      const stored: Record<string, unknown> = {};
      for (const key of state.keys()) {
        const { data, shape, dtype } = await state.get(key);
        stored[key] = [dtype, shape, DTYPES[dtype].array.name, hash(data)];
      }
      for (const report of all) {
        expect(report.words).toEqual([0, 1, 2].map(words));
        expect(report.value).toEqual({ Größe: [1, null] });
        expect(report.stored).toEqual(stored);
      }
    });
  });

  it.skipIf(!launcher)(
    'gradients add up as one process adds them (skipped where there is no mpirun of it)',
    async () => {
      const all = await ranks.run<Gradients>(launcher, 2, 'gradients');
      checkGradients(all);
    },
  );
});
