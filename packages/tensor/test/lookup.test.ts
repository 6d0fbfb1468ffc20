import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { Device } from '../src/device/device.js';
import { stateDictOf } from '../src/io/state-dict.js';
import { Embedding } from '../src/nn/layers.js';
import { embedding, embeddingOfParts } from '../src/ops/embedding.js';
import { nearestCode } from '../src/ops/quantize.js';
import { type Golden, expectSame, expectError, golden, noise, testDevice, upload } from './helpers.js';

let device: Device;
let cases: Golden;
beforeAll(async () => {
  device = await testDevice();
  cases = await golden('ops');
});

describe('embedding', () => {
  it.each([undefined, 'scalar'] as const)('matches PyTorch, kernel %s', async (force) => {
    const index = cases.get('embedding/index');
    const indices = device.tensor(Uint32Array.from(index.data), index.shape);
    const weight = upload(device, cases.get('embedding/weight'));
    await expectSame(embedding(indices, weight, { force }), cases.get('embedding/output'));
  });

  it('reads rows of odd lengths, and the last one for an index outside', async () => {
    const weight = device.tensor([0, 1, 2, 10, 11, 12], [2, 3]);
    const indices = device.tensor(Uint32Array.of(1, 0, 2, 0xffffffff), [2, 2]);
    const out = embedding(indices, weight);
    expect(out.shape).toEqual([2, 2, 3]);
    expect([...(await out.data())]).toEqual([10, 11, 12, 0, 1, 2, 10, 11, 12, 10, 11, 12]);
  });

  it.each([3, 4])('reads tables in parts as whole ones, %s columns', async (dim) => {
    const property = fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.oneof(fc.nat(40), fc.constant(0xffffffff)), { minLength: 1, maxLength: 30 }),
      async (lengths, rows) => {
        const { data, shape } = noise([lengths.reduce((a, b) => a + b, 0), dim], lengths.length);
        const whole = device.tensor(data, shape);
        let first = 0;
        const parts = lengths.map((length) => whole.slice(0, first, (first += length)));
        const indices = device.tensor(Uint32Array.from(rows));
        const out = await embeddingOfParts(indices, parts).data();
        expect(out).toEqual(await embedding(indices, whole).data());
      },
    );
    await fc.assert(property, { numRuns: 20 });
  });

  it('holds a table that is larger than a buffer in several', async () => {
    // As if buffers were small: real ones would make this a test of patience.
    Object.defineProperty(device, 'maxTensorBytes', { value: 100, configurable: true });
    try {
      const { shape, ...values } = noise([10, 4], 1);
      const data = Float32Array.from(values.data);
      const table = new Embedding(10, 4, { device });
      await table.loadStateDict(stateDictOf([['weight', { data, shape }]]));
      expect(table.weight.parts.map((part) => part.shape)).toEqual([
        [6, 4],
        [4, 4],
      ]);
      expectError(() => table.weight.value, 'limits', 'lies in 2 buffers');
      const out = table.forward(device.tensor(Uint32Array.of(9, 0, 5)));
      expect(await out.data()).toEqual(
        Float32Array.of(...data.subarray(36, 40), ...data.subarray(0, 4), ...data.subarray(20, 24)),
      );
      expect((await table.stateDict().get('weight')).data).toEqual(data);
      const before = device.memory().liveTensors;
      table.dispose();
      expect(device.memory().liveTensors).toBe(before - 2);
    } finally {
      Reflect.deleteProperty(device, 'maxTensorBytes');
    }
  });

  it('plans such a table on the meta device', async () => {
    const { info } = device;
    const like = { ...info, limits: { ...info.limits, maxStorageBufferBindingSize: 100 } };
    const meta = await Device.create({ adapter: 'meta', like });
    const table = new Embedding(10, 4, { device: meta });
    expect(table.weight.parts).toHaveLength(2);
    expect(table.weight.largestBuffer).toBe(96);
    expect(table.forward(meta.empty([3], 'u32')).shape).toEqual([3, 4]);
  });

  it('wants u32 indices and a table', () => {
    expectError(() => embedding(device.zeros([2]), device.zeros([2, 2])), 'dtype', 'u32');
    expectError(() => embedding(device.zeros([2], { dtype: 'u32' }), device.zeros([4])), 'shape', '[n,d]');
  });
});

describe('nearestCode', () => {
  it.each([
    { dim: 4, force: undefined },
    { dim: 4, force: 'naive' as const },
    { dim: 1, force: undefined },
    { dim: 7, force: undefined },
  ])('finds what float64 finds, $dim columns, kernel $force', async ({ dim, force }) => {
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(),
      async (rows, count, seed) => {
        // On a coarse grid distances are exact, so that ties occur and are ties in both.
        const grid = (values: Float32Array) => values.map((value) => Math.round(value * 3) / 2);
        const z = grid(noise([rows, dim], seed).data);
        const codes = grid(noise([count, dim], seed + 1).data);
        const reference = Uint32Array.from({ length: rows }, (_, i) => {
          let best = 0;
          let least = Infinity;
          for (let j = 0; j < count; j++) {
            let distance = 0;
            for (let k = 0; k < dim; k++) distance += (z[i * dim + k] - codes[j * dim + k]) ** 2;
            if (distance < least) [best, least] = [j, distance];
          }
          return best;
        });
        const out = nearestCode(device.tensor(z, [rows, dim]), device.tensor(codes, [count, dim]), { force });
        expect(out.shape).toEqual([rows]);
        expect(await out.data()).toEqual(reference);
      },
    );
    await fc.assert(property, { numRuns: 20 });
  });

  it('finds a code at itself, however close the others are', async () => {
    const codes = upload(device, noise([512, 4], 5, 1 / 8192));
    const out = nearestCode(codes.reshape([2, 16, 16, 4]), codes);
    expect(out.shape).toEqual([2, 16, 16]);
    expect(await out.data()).toEqual(Uint32Array.from({ length: 512 }, (_, i) => i));
  });

  it('wants vectors as long as the codes', () => {
    expectError(() => nearestCode(device.zeros([2, 3]), device.zeros([8, 4])), 'shape', '[K,d]');
  });
});
