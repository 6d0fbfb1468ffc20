import { hasEqualSubgroups } from '@paella/kernels';
import { describe, expect, it } from 'vitest';
import { Device } from '../src/device/device.js';
import { linear } from '../src/ops/matmul.js';
import { type SampleLinearOptions, multinomial, sampleLinear } from '../src/ops/sampling.js';
import { Rng } from '../src/random/rng.js';
import { foldIn, streamWords } from '../src/random/threefry.js';
import { expectError, noise, testDevice, upload } from './helpers.js';

interface Case {
  rows: number;
  channels: number;
  classes: number;
}

/** Odd row counts, chunks that end early (a chunk is 64 classes), one class, the model's 8192. */
const FUSED: Case[] = [
  { rows: 1, channels: 4, classes: 4 },
  { rows: 7, channels: 8, classes: 60 },
  { rows: 9, channels: 12, classes: 68 },
  { rows: 17, channels: 96, classes: 1024 },
  { rows: 33, channels: 4, classes: 132 },
  { rows: 5, channels: 64, classes: 8192 },
];
const NAIVE_ONLY: Case[] = [
  { rows: 5, channels: 8, classes: 1 },
  { rows: 3, channels: 7, classes: 5 },
  { rows: 13, channels: 6, classes: 67 },
  { rows: 4, channels: 5, classes: 8191 },
];
const TEMPERATURE = 0.7;

/** Scores logits/τ + Gumbel noise in float64. Without a generator, the logits. */
function scores(
  { rows, channels, classes }: Case,
  h: Float32Array,
  w: Float32Array,
  b: Float32Array,
  rng?: Rng,
) {
  const { key, stream } = (rng ?? new Rng(0)).next();
  const words = streamWords(key, stream, rows * classes);
  return Float64Array.from({ length: rows * classes }, (_, e) => {
    const [row, k] = [Math.floor(e / classes), e % classes];
    let logit = b[k];
    for (let c = 0; c < channels; c++) logit += h[row * channels + c] * w[c * classes + k];
    if (!rng) return logit;
    const v = (words[e] + 0.5) / 2 ** 32;
    return logit / TEMPERATURE - Math.log(-Math.log1p(-v));
  });
}

/** How far the choices' scores lie below the best of their rows, at most. */
function worstRegret(chosen: ArrayLike<number>, all: Float64Array, classes: number): number {
  return Math.max(
    ...Array.from(chosen, (k, row) => {
      const ofRow = all.subarray(row * classes, (row + 1) * classes);
      return ofRow.reduce((a, x) => Math.max(a, x), -Infinity) - ofRow[k];
    }),
  );
}

/** Σ (observed − expected)² / expected. */
function chiSquare(draws: ArrayLike<number>, probabilities: readonly number[]): number {
  const counts = probabilities.map(() => 0);
  for (let i = 0; i < draws.length; i++) counts[draws[i]]++;
  return counts.reduce((sum, count, k) => {
    const expected = probabilities[k] * draws.length;
    return sum + (count - expected) ** 2 / expected;
  }, 0);
}

function softmax(logits: ArrayLike<number>, temperature: number): number[] {
  const powers = Array.from(logits, (x) => Math.exp(x / temperature));
  const total = powers.reduce((sum, x) => sum + x, 0);
  return powers.map((x) => x / total);
}

describe('sampleLinear', () => {
  for (const shape of [...FUSED, ...NAIVE_ONLY]) {
    const { rows, channels, classes } = shape;
    it(`takes the best score of ${rows} rows, ${channels} channels, ${classes} classes`, async () => {
      const device = await testDevice();
      const [h, w, b] = [noise([rows, channels], 1), noise([channels, classes], 2), noise([classes], 3)];
      const [input, weight, bias] = [h, w, b].map((values) => upload(device, values));
      const check = async (options: SampleLinearOptions, expected: Float64Array) => {
        const seeded = { ...options, bias, temperature: TEMPERATURE, rng: new Rng(21, 5) };
        const out = sampleLinear(input, weight, seeded);
        expect(out.toString()).toBe(`u32 [${rows}]`);
        // Choices may differ from the reference only where two scores are equal up to rounding.
        const chosen = await out.data();
        expect(worstRegret(chosen, expected, classes)).toBeLessThan(1e-4);
        return chosen;
      };
      const variants: SampleLinearOptions['force'][] = FUSED.includes(shape)
        ? ['tile', 'naive', undefined]
        : [undefined];
      for (const mode of ['multinomial', 'argmax'] as const) {
        const rng = mode === 'argmax' ? undefined : new Rng(21, 5);
        const expected = scores(shape, h.data, w.data, b.data, rng);
        const results = [];
        for (const force of variants) results.push(await check({ mode, force }, expected));
        for (const result of results) expect(result).toEqual(results[0]);
      }
    });
  }

  it('keeps the leading dimensions, and takes one stream to draw and none for argmax', async () => {
    const device = await testDevice();
    const [h, w] = [upload(device, noise([2, 3, 5, 8], 1)), upload(device, noise([8, 12], 2))];
    const rng = new Rng(1);
    expect(sampleLinear(h, w, { rng }).shape).toEqual([2, 3, 5]);
    expect(rng.counter).toBe(1);
    expect(sampleLinear(h, w, { mode: 'argmax', rng }).shape).toEqual([2, 3, 5]);
    expect(rng.counter).toBe(1);
    expect(sampleLinear(device.empty([0, 8]), w, { rng }).shape).toEqual([0]);
  });

  it('gives ties to the lowest class, within and across chunks', async () => {
    const device = await testDevice();
    const classes = 260;
    const weight = device.zeros([4, classes]);
    const h = device.ones([3, 4]);
    for (const force of ['tile', 'naive', undefined] as const) {
      for (const best of [[], [255, 259], [63, 64, 128], [5, 4], [20, 40]]) {
        const bias = device.tensor(
          Float32Array.from({ length: classes }, (_, k) => Number(best.includes(k))),
        );
        const expected = best.length ? Math.min(...best) : 0;
        const out = await sampleLinear(h, weight, { mode: 'argmax', bias, force }).data();
        expect([...out]).toEqual([expected, expected, expected]);
      }
    }
  });

  // The seeds are fixed, so these tests cannot flicker; the limits say which share of all seeds would fail.
  it.each([1, 0.4])('draws from the softmax at temperature %s', async (temperature) => {
    const device = await testDevice();
    const rows = 40_000;
    // 12 classes whose probabilities differ by factors of up to e^2 (τ = 1) and e^5 (τ = 0.4).
    const logits = noise([12], 9).data;
    const h = device.tensor(
      Float32Array.from({ length: rows * 4 }, (_, i) => Number(i % 4 === 0)),
      [rows, 4],
    );
    const weight = device.tensor([...Array.from(logits), ...new Array<number>(36).fill(1)], [4, 12]);
    const draws = await sampleLinear(h, weight, { temperature, rng: new Rng(17) }).data();
    // 11 degrees of freedom: p = 0.001 at 31.26.
    expect(chiSquare(draws, softmax(logits, temperature))).toBeLessThan(31.26);
  });

  it('draws evenly from 8192 equal logits', async () => {
    const device = await testDevice();
    const rows = 6400;
    const h = device.zeros([rows, 4]);
    const draws = await sampleLinear(h, device.zeros([4, 8192]), { rng: new Rng(3) }).data();
    const uniform = (n: number) => new Array<number>(n).fill(1 / n);
    // By 128 neighbours, 63 degrees of freedom: p = 0.001 at 103.4; by remainder, 127: p = 0.001 at 181.9.
    expect(
      chiSquare(
        draws.map((k) => k >> 7),
        uniform(64),
      ),
    ).toBeLessThan(103.4);
    expect(
      chiSquare(
        draws.map((k) => k & 127),
        uniform(128),
      ),
    ).toBeLessThan(181.9);
  });

  it('draws rare classes as often as they should be', async () => {
    const device = await testDevice();
    const rows = 1 << 20;
    // One class of probability 2^-12 among four.
    const rare = -Math.log((2 ** 12 - 1) / 3);
    const bias = device.tensor([0, rare, 0, 0]);
    const h = device.zeros([rows, 4]);
    const draws = await sampleLinear(h, device.zeros([4, 4]), { bias, rng: new Rng(5) }).data();
    const count = Array.from(draws).filter((k) => k === 1).length;
    // 256 expected, standard deviation 16.
    expect(Math.abs(count - 256)).toBeLessThan(56);
  });

  it('draws the same for an entry in whatever batch it is, by every kernel', async () => {
    const device = await testDevice();
    // 21 rows an entry: tiles of 8 and 16 rows lie across entries.
    for (const classes of [68, 67]) {
      const [h, w] = [upload(device, noise([5, 3, 7, 16], 1)), upload(device, noise([16, classes], 2))];
      const variants: SampleLinearOptions['force'][] = ['naive'];
      if (classes === 68) variants.push('tile');
      if (classes === 68 && hasEqualSubgroups(device.capabilities)) variants.push('subgroup');
      const results: number[][] = [];
      for (const force of variants) {
        const part = async (from: number, to: number) => {
          const rng = new Rng(7, 3).forEntries(4 + from);
          return [...(await sampleLinear(h.slice(0, from, to), w, { rng, force, temperature: 0.8 }).data())];
        };
        const all = await part(0, 5);
        expect([...(await part(0, 2)), ...(await part(2, 5))]).toEqual(all);
        expect(await part(3, 4)).toEqual(all.slice(63, 84));
        results.push(all);
      }
      for (const result of results) expect(result).toEqual(results[0]);
      const [high, low] = foldIn([0, 7], 4);
      const own = new Rng((BigInt(high) << 32n) + BigInt(low), 3);
      const first = await sampleLinear(h.slice(0, 0, 1), w, { rng: own, temperature: 0.8 }).data();
      expect([...first]).toEqual(results[0].slice(0, 21));
    }
  });

  it('draws the same tokens run after run, and others with another seed', async () => {
    const device = await testDevice();
    const [h, w] = [upload(device, noise([50, 16], 1)), upload(device, noise([16, 256], 2))];
    const draw = (seed: number) => sampleLinear(h, w, { rng: new Rng(seed) }).data();
    const first = await draw(7);
    expect(await draw(7)).toEqual(first);
    expect(await draw(8)).not.toEqual(first);
  });

  it.each(['meta', 'auto'])('never holds the logits (%s)', async (adapter) => {
    using device = await Device.create({ adapter });
    const [rows, channels, classes] = [1024, 16, 8192];
    const h = device.zeros([rows, channels]);
    const weight = device.zeros([channels, classes]);
    device.resetPeak();
    const before = device.memory().liveBytes;
    const out = sampleLinear(h, weight, { rng: new Rng(1) });
    if (!device.isMeta) await out.data();
    const logitBytes = rows * classes * 4;
    expect(device.memory().peakBytes).toBeLessThan(logitBytes);
    // The scores of chunks, the result, and the buffer that stands for operands that are absent.
    expect(device.memory().peakBytes - before).toBeLessThanOrEqual(logitBytes / 32 + rows * 4 + 16);
  });

  it('compiles the same pipelines whatever the seed, step and temperature', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const [h, w] = [device.empty([8, 16]), device.empty([16, 64])];
    for (const temperature of [1, 0.5, 0.3]) sampleLinear(h, w, { temperature, rng: new Rng(3, 8) });
    expect(device.stats()).toMatchObject({ dispatches: 6, pipelines: 2 });
  });

  it('says what is wrong with its arguments', async () => {
    const device = await testDevice();
    const [h, w] = [device.ones([2, 8]), device.ones([8, 12])];
    const rng = new Rng(1);
    expectError(() => sampleLinear(h, w), 'argument', 'generator');
    expectError(() => sampleLinear(h, w, { rng, temperature: 0 }), 'argument', 'argmax');
    expectError(() => sampleLinear(h, device.ones([4, 12]), { rng }), 'shape', 'weight [4,12]');
    expectError(() => sampleLinear(h, w, { rng, bias: device.ones([8]) }), 'shape', '12 biases');
    // A refused call takes no stream.
    expect(rng.counter).toBe(0);
  });
});

describe('multinomial', () => {
  it('draws from stored logits what sampleLinear draws', async () => {
    const device = await testDevice();
    const [h, w] = [upload(device, noise([2, 37, 32], 4)), upload(device, noise([32, 516], 5))];
    const fused = sampleLinear(h, w, { temperature: 0.5, rng: new Rng(2, 3) });
    const stored = multinomial(linear(h, w), { temperature: 0.5, rng: new Rng(2, 3) });
    expect(stored.shape).toEqual([2, 37]);
    expect(await stored.data()).toEqual(await fused.data());
  });

  it('draws from the softmax, whatever the position of a row in its vec4s', async () => {
    const device = await testDevice();
    const logits = noise([5], 31, 2).data;
    const rows = 30_000;
    const all = device.tensor(
      Float32Array.from({ length: rows * 5 }, (_, i) => logits[i % 5]),
      [rows, 5],
    );
    const draws = await multinomial(all, { temperature: 0.8, rng: new Rng(6) }).data();
    // 4 degrees of freedom: p = 0.001 at 18.47.
    expect(chiSquare(draws, softmax(logits, 0.8))).toBeLessThan(18.47);
  });
});
