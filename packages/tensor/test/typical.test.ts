import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Device } from '../src/device/device.js';
import { linear } from '../src/ops/matmul.js';
import { multinomial, sampleLinear } from '../src/ops/sampling.js';
import { type TypicalOptions, typicalFilter } from '../src/ops/typical.js';
import { Rng } from '../src/random/rng.js';
import { scope } from '../src/scope.js';
import { expectError, noise, teamForces, testDevice, upload } from './helpers.js';

const REMOVED = Math.fround(-1e30);

/** Entropy and scores of a row in float64, in the words of the paper. */
function typicality(logits: ArrayLike<number>) {
  const row = Array.from(logits);
  const peak = Math.max(...row);
  const total = row.reduce((sum, x) => sum + Math.exp(x - peak), 0);
  const logP = row.map((x) => x - peak - Math.log(total));
  const entropy = -logP.reduce((sum, x) => sum + Math.exp(x) * x, 0);
  return { p: logP.map(Math.exp), entropy, scores: logP.map((x) => Math.abs(-x - entropy)) };
}

/**
 * What stays, by sorting, as upstream does it; null where that hangs on a rounding: a sum within 1e-5 of `mass`, or the
 * next score within 1e-5 of the threshold, though not equal to it.
 */
function kept(logits: ArrayLike<number>, mass: number, minTokens: number): boolean[] | null {
  const { p, scores } = typicality(logits);
  const order = [...scores.keys()].sort((a, b) => scores[a] - scores[b]);
  let sum = 0;
  const cumulative = order.map((k) => (sum += p[k]));
  const enough = cumulative.filter((c) => c < mass).length;
  const at = Math.min(Math.max(enough, minTokens - 1), order.length - 1);
  const threshold = scores[order[at]];
  const isClose = (a: number, b: number) => a !== b && Math.abs(a - b) < 1e-5;
  if (mass > 0 && cumulative.some((c) => Math.abs(c - mass) < 1e-5)) return null;
  if (scores.some((s) => isClose(s, threshold))) return null;
  return scores.map((s) => s <= threshold);
}

const staysOf = (values: ArrayLike<number>): boolean[] => Array.from(values, (x) => x !== REMOVED);

describe('typicalFilter', () => {
  it('keeps what the published example keeps', async () => {
    const device = await testDevice();
    const logits = [2, 1, 0.5, 0, -1, -3];
    const { entropy, scores } = typicality(logits);
    expect(entropy).toBeCloseTo(1.22678, 5);
    [0.64856, 0.35144, 0.85144, 1.35144, 2.35144, 4.35144].forEach((s, k) =>
      expect(scores[k]).toBeCloseTo(s, 5),
    );
    const expected: [number, number[]][] = [
      [0.2, [1]],
      [0.6, [0, 1]],
      [0.9, [0, 1, 2, 3]],
      [1, [0, 1, 2, 3, 4, 5]],
    ];
    for (const force of teamForces(device)) {
      for (const [mass, stays] of expected) {
        const out = await typicalFilter(device.tensor(logits), { mass, force }).data();
        const wanted = logits.map((x, k) => (stays.includes(k) ? x : REMOVED));
        expect([...out], `mass ${mass}, ${force}`).toEqual(wanted);
      }
    }
  });

  it('keeps what sorting keeps, by every kernel', async () => {
    const device = await testDevice();
    const forces = teamForces(device);
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 2, 5, 64, 67, 128, 131, 260, 1024, 1027, 8192),
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(0.5, 4, 12),
        fc.constantFrom(0, 0.05, 0.2, 0.6, 0.95, 0.999),
        fc.constantFrom(1, 2, 10),
        fc.boolean(),
        fc.nat(),
        (classes, rows, scale, mass, minTokens, ties, seed) =>
          scope(async () => {
            const values = noise([rows, classes], seed, scale);
            if (ties) values.data.forEach((x, i) => (values.data[i] = Math.round(2 * x) / 2));
            const logits = upload(device, values);
            for (const force of forces) {
              const out = await typicalFilter(logits, { mass, minTokens, force }).data();
              for (let row = 0; row < rows; row++) {
                const [from, to] = [row * classes, (row + 1) * classes];
                const own = values.data.subarray(from, to);
                const expected = kept(own, mass, minTokens);
                if (!expected) continue;
                compared++;
                expect(staysOf(out.subarray(from, to)), `${classes} classes, ${force}`).toEqual(expected);
                expect(out.subarray(from, to).every((x, k) => x === own[k] || x === REMOVED)).toBe(true);
              }
            }
          }),
      ),
      { numRuns: 60 },
    );
    expect(compared).toBeGreaterThan(100);
  });

  it('keeps all of equal classes, and any mass of a certain one', async () => {
    const device = await testDevice();
    const options: TypicalOptions[] = [{ mass: 0 }, { mass: 0.999 }, { minTokens: 300 }];
    for (const force of teamForces(device)) {
      for (const one of options) {
        const equal = await typicalFilter(device.full([2, 132], -3), { ...one, force }).data();
        expect(staysOf(equal).every(Boolean)).toBe(true);
      }
      const sure = Float32Array.from({ length: 132 }, (_, k) => (k === 7 ? 100 : 0));
      const out = await typicalFilter(device.tensor(sure), { force }).data();
      expect(staysOf(out)).toEqual(Array.from(sure, (x) => x === 100));
      // The score of the sure class is 0, that of all others 100.
      const more = await typicalFilter(device.tensor(sure), { minTokens: 2, force }).data();
      expect(staysOf(more).every(Boolean)).toBe(true);
    }
  });

  it('refuses a mass or a count that is none', async () => {
    const device = await testDevice();
    const logits = device.ones([2, 3]);
    expectError(() => typicalFilter(logits, { mass: 1.5 }), 'argument', /mass 1.5/);
    expectError(() => typicalFilter(logits, { minTokens: 0 }), 'argument', /minTokens 0/);
    expectError(() => typicalFilter(device.ones([2, 0])), 'shape', /classes/);
  });
});

describe('sampleLinear of typical classes', () => {
  it('draws from those alone, however many rows there are at a time', async () => {
    const device = await testDevice();
    for (const classes of [260, 67]) {
      const [h, w] = [upload(device, noise([3, 15, 16], 1)), upload(device, noise([16, classes], 2))];
      const typical = { mass: 0.4 };
      const rng = () => new Rng(3).forEntries(5);
      const all = multinomial(typicalFilter(linear(h, w), typical), { rng: rng(), temperature: 0.7 });
      const expected = await all.data();
      for (const rowsAtATime of [undefined, 1, 7, 16, 45]) {
        const options = { typical, rowsAtATime, temperature: 0.7 };
        const drawn = sampleLinear(h, w, { ...options, rng: rng() });
        expect(drawn.shape).toEqual([3, 15]);
        expect(await drawn.data()).toEqual(expected);
      }
      const logits = await linear(h, w).data();
      expected.forEach((k, row) => {
        const stays = kept(logits.subarray(row * classes, (row + 1) * classes), 0.4, 1);
        if (stays) expect(stays[k]).toBe(true);
      });
    }
  });

  it('draws the kept ones by their probability', async () => {
    const device = await testDevice();
    const rows = 20_000;
    const bias = device.tensor([2, 1, 0.5, 0, -1, -3]);
    const h = device.zeros([rows, 4]);
    const options = { bias, typical: { mass: 0.6 }, temperature: 2, rng: new Rng(4) };
    const drawn = await sampleLinear(h, device.zeros([4, 6]), options).data();
    const ones = Array.from(drawn).reduce((sum, k) => sum + k, 0) / rows;
    expect(new Set(drawn)).toEqual(new Set([0, 1]));
    // Four standard errors.
    expect(Math.abs(ones - 1 / (1 + Math.exp(0.5)))).toBeLessThan(0.014);
  });

  it('never holds the logits of all rows', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const [rows, classes] = [4096, 8192];
    const h = device.zeros([rows, 16]);
    const weight = device.zeros([16, classes]);
    device.resetPeak();
    sampleLinear(h, weight, { rng: new Rng(1), typical: {} });
    expect(device.memory().peakBytes).toBeLessThan(48 << 20);
  });
});
