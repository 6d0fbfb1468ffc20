import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Device } from '../src/device/device.js';
import { Rng } from '../src/random/rng.js';
import { foldIn, scaleWord, streamWords, threefry2x32 } from '../src/random/threefry.js';
import { expectError, testDevice } from './helpers.js';

const SHAPES = [[1], [2], [3], [5, 7], [3, 1, 11], [64, 4], [257, 3], [3, 1000, 7]];
const sizeOf = (shape: readonly number[]) => shape.reduce((product, length) => product * length, 1);
const words = (rng: Rng, count: number) => {
  const { key, stream } = rng.next();
  return streamWords(key, stream, count);
};

/** Mean, variance, skewness and excess kurtosis. */
function moments(values: ArrayLike<number>) {
  const list = Array.from(values);
  const mean = list.reduce((sum, x) => sum + x, 0) / list.length;
  const central = (power: number) => list.reduce((sum, x) => sum + (x - mean) ** power, 0) / list.length;
  const variance = central(2);
  return { mean, variance, skewness: central(3) / variance ** 1.5, kurtosis: central(4) / variance ** 2 - 3 };
}

describe('threefry2x32', () => {
  it('gives the known answers of the Random123 library', () => {
    const ones = 0xffffffff;
    expect(threefry2x32([0, 0], [0, 0])).toEqual([0x6b200159, 0x99ba4efe]);
    expect(threefry2x32([ones, ones], [ones, ones])).toEqual([0x1cb996fc, 0xbb002be7]);
    expect(threefry2x32([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3])).toEqual([
      0xc4923a9c, 0x483df7a0,
    ]);
  });

  it('is made of the same bits on the device and on the host', async () => {
    const device = await testDevice();
    for (const seed of [0, 7, 2 ** 40 + 5, 0x13198a2e03707344n, (1n << 64n) - 1n]) {
      for (const counter of [0, 1, 2 ** 32 - 1]) {
        const rng = new Rng(seed, counter);
        const bits = await rng.bits(device, [37]).data();
        expect(bits).toEqual(words(new Rng(seed, counter), 37));
      }
    }
    for (const shape of SHAPES) {
      const out = new Rng(3, 9).bits(device, shape);
      expect(out.shape).toEqual(shape);
      expect(await out.data()).toEqual(words(new Rng(3, 9), out.size));
    }
  });

  it('holds the key in the seed: upper half first', () => {
    expect(new Rng(0x13198a2e03707344n).next().key).toEqual([0x13198a2e, 0x03707344]);
  });
});

describe('Rng', () => {
  it('draws equal uniforms and integers on the device and on the host', async () => {
    const device = await testDevice();
    for (const shape of SHAPES) {
      const [a, b] = [new Rng(11), new Rng(11)];
      expect(await a.uniform(device, shape).data()).toEqual(b.uniformArray(sizeOf(shape)));
      for (const [low, high] of [
        [0, 8192],
        [5, 6],
        [3, 1000003],
        [0, 2 ** 32 - 1],
        [2 ** 31, 2 ** 32],
      ]) {
        const expected = words(b, sizeOf(shape)).map((word) => low + scaleWord(word, high - low));
        expect(await a.randint(device, low, high, shape).data()).toEqual(expected);
      }
      expect(a.state()).toEqual(b.state());
    }
  });

  it('scales words to whole numbers exactly', () => {
    const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    fc.assert(
      fc.property(u32, u32, (word, count) => {
        expect(BigInt(scaleWord(word, count))).toBe((BigInt(word) * BigInt(count)) >> 32n);
      }),
    );
  });

  it('draws uniforms within their half-open range, with the right moments', async () => {
    const device = await testDevice();
    const n = 200_000;
    const values = await new Rng(1).uniform(device, [n], { low: -3, high: 5 }).data();
    expect(values.every((x) => x >= -3 && x < 5)).toBe(true);
    const { mean, variance, kurtosis } = moments(values);
    // Standard errors at this n: 0.005 for the mean, 0.011 for the variance.
    expect(Math.abs(mean - 1)).toBeLessThan(0.02);
    expect(Math.abs(variance - 64 / 12)).toBeLessThan(0.045);
    expect(Math.abs(kurtosis + 1.2)).toBeLessThan(0.02);
    // Every sum rounds up to the end of this range unless it is kept out.
    const narrow = await new Rng(1).uniform(device, [1000], { low: 1, high: 1 + 2 ** -23 }).data();
    expect(narrow.every((x) => x === 1)).toBe(true);
  });

  it('draws normals as Box and Muller do, to 1e-5', async () => {
    const device = await testDevice();
    const n = 100_001;
    const values = await new Rng(5, 3).normal(device, [n]).data();
    const bits = words(new Rng(5, 3), n + 1);
    const expected = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const pair = i & ~1;
      const radius = Math.sqrt(-2 * Math.log1p(-(bits[pair] + 0.5) / 2 ** 32));
      const angle = 2 * Math.PI * (bits[pair + 1] >>> 8) * 2 ** -24;
      expected[i] = radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
    }
    expect(values.every((x, i) => Math.abs(x - expected[i]) < 1e-5)).toBe(true);
    const { mean, variance, skewness, kurtosis } = moments(values);
    // About four standard errors each.
    expect(Math.abs(mean)).toBeLessThan(0.013);
    expect(Math.abs(variance - 1)).toBeLessThan(0.018);
    expect(Math.abs(skewness)).toBeLessThan(0.031);
    expect(Math.abs(kurtosis)).toBeLessThan(0.062);
    const shifted = await new Rng(5, 3).normal(device, [n], { mean: 10, std: 0.5 }).data();
    expect(shifted.every((x, i) => Math.abs(x - (10 + 0.5 * expected[i])) < 1e-5)).toBe(true);
  });

  it('permutes without loss, evenly and reproducibly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.nat(), (n, seed) => {
        const order = new Rng(seed).permutation(n);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
        expect(new Rng(seed).permutation(n)).toEqual(order);
      }),
    );
    // The 6 orders of 3 things, 1000 each expected; 5 degrees of freedom, p = 0.001 at 20.5.
    const counts = new Map<string, number>();
    const rng = new Rng(2);
    for (let i = 0; i < 6000; i++) {
      const order = rng.permutation(3).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    const chi2 = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(counts.size).toBe(6);
    expect(chi2).toBeLessThan(20.5);
  });

  it('goes on from its saved state', async () => {
    const device = await testDevice();
    const rng = new Rng(12345678901234567890n);
    const first = await rng.uniform(device, [9]).data();
    const state = JSON.parse(JSON.stringify(rng.state())) as ReturnType<Rng['state']>;
    expect(state).toEqual({ seed: '12345678901234567890', counter: 1 });
    const second = await rng.uniform(device, [9]).data();
    expect(second).not.toEqual(first);
    expect(await Rng.from(state).uniform(device, [9]).data()).toEqual(second);
    rng.counter = 0;
    expect(await rng.uniform(device, [9]).data()).toEqual(first);
  });

  it('compiles one pipeline for all seeds and draws', async () => {
    const device = await Device.create({ adapter: 'meta' });
    for (let seed = 0; seed < 5; seed++) new Rng(seed, seed).uniform(device, [8], { low: seed - 9 });
    expect(device.stats().pipelines).toBe(1);
  });

  it('refuses arguments out of range', async () => {
    const device = await testDevice();
    for (const seed of [-1, 1.5, 2 ** 60, -1n, 1n << 64n])
      expectError(() => new Rng(seed), 'argument', /seed/);
    expectError(() => new Rng(1, -1), 'argument', /draw/);
    expectError(() => Rng.from({ seed: 'abc', counter: 0 }), 'argument', /digits/);
    expectError(() => new Rng(1, 2 ** 32).next(), 'argument', /2\^32/);
    const rng = new Rng(1);
    expectError(() => rng.randint(device, 4, 4, [1]), 'argument', /randint/);
    expectError(() => rng.randint(device, -1, 4, [1]), 'argument', /randint/);
    expectError(() => rng.uniform(device, [1], { low: 2 }), 'argument', /uniform/);
    expect(rng.counter).toBe(0);
  });
});

describe('forEntries', () => {
  /** What draws entry `index` of a batch, alone. */
  const alone = (rng: Rng, index: number) => {
    const [high, low] = foldIn([Number(rng.seed >> 32n), Number(rng.seed & 0xffffffffn)], index);
    return new Rng((BigInt(high) << 32n) + BigInt(low), rng.counter);
  };

  it('draws each entry as a generator of its own, whole vec4s or not', async () => {
    const device = await testDevice();
    const rng = new Rng(0x13198a2e03707344n, 5);
    const draws = {
      bits: (from: Rng, shape: number[]) => from.bits(device, shape),
      uniform: (from: Rng, shape: number[]) => from.uniform(device, shape, { low: -1 }),
      normal: (from: Rng, shape: number[]) => from.normal(device, shape),
      randint: (from: Rng, shape: number[]) => from.randint(device, 3, 1000, shape),
    };
    for (const [name, draw] of Object.entries(draws)) {
      for (const shape of [[5, 8, 8], [5, 3, 7], [5], [5, 2], [1, 6], [2, 65]]) {
        for (const [first, step] of [
          [0, 1],
          [7, 1],
          [3, 0],
          [2, 4],
          [2 ** 32 - 2, 1],
        ]) {
          const values = await draw(rng.forEntries(first, step), shape).data();
          const size = values.length / shape[0];
          for (let b = 0; b < shape[0]; b++) {
            const index = (first + b * step) % 2 ** 32;
            const expected = await draw(alone(rng, index), shape.slice(1)).data();
            const message = `${name} [${shape.join()}] entry ${b} from ${first} by ${step}`;
            expect(values.slice(b * size, (b + 1) * size), message).toEqual(expected);
          }
        }
      }
    }
  });

  it("folds indices into keys as JAX's fold_in", () => {
    // jax.random.key_data(jax.random.fold_in(jax.random.key(0), 1))
    expect(foldIn([0, 0], 1)).toEqual([928981903, 3453687069]);
  });

  it('counts draws by itself, and refuses those without entries', async () => {
    const device = await testDevice();
    const rng = new Rng(4, 2);
    const entries = rng.forEntries();
    const first = await entries.bits(device, [2, 4]).data();
    expect([rng.counter, entries.counter]).toEqual([2, 3]);
    expect(await entries.bits(device, [2, 4]).data()).not.toEqual(first);
    expect(await rng.forEntries().bits(device, [2, 4]).data()).toEqual(first);
    expectError(() => entries.permutation(4), 'argument', /entries/);
    expectError(() => entries.uniformArray(4), 'argument', /entries/);
    for (const [from, step] of [
      [-1, 1],
      [0, 0.5],
      [2 ** 32, 1],
    ]) {
      expectError(() => rng.forEntries(from, step), 'argument', /forEntries/);
    }
  });
});
