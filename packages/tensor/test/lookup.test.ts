import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../src/device/device.js';
import { embedding } from '../src/ops/embedding.js';
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
