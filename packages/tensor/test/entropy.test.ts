import { describe, expect, it } from 'vitest';
import { entropy } from '../src/ops/entropy.js';
import { typicalFilter } from '../src/ops/typical.js';
import { expectError, noise, testDevice, upload } from './helpers.js';

/** In float64. */
function reference(logits: ArrayLike<number>): number {
  const row = Array.from(logits);
  const peak = row.reduce((a, b) => Math.max(a, b));
  const logTotal = Math.log(row.reduce((sum, x) => sum + Math.exp(x - peak), 0));
  const logP = row.map((x) => x - peak - logTotal);
  return -logP.reduce((sum, x) => sum + Math.exp(x) * x, 0);
}

describe('entropy', () => {
  // A scale of 0.01 is nearly flat, one of 300 leaves a class or two.
  it.each([0.01, 1, 8, 300])('is that of float64, of logits up to ±%s', async (scale) => {
    const device = await testDevice();
    for (const classes of [1, 2, 67, 1024, 8192]) {
      const logits = noise([7, classes], classes, scale);
      const out = entropy(upload(device, logits));
      expect(out.shape).toEqual([7]);
      const values = await out.data();
      for (const [row, value] of values.entries()) {
        const expected = reference(logits.data.subarray(row * classes, (row + 1) * classes));
        expect(Math.abs(value - expected), `${classes} classes`).toBeLessThan(1e-5);
      }
    }
  });

  it('is log(classes) of equal ones, whatever they are, and 0 of a certain one', async () => {
    const device = await testDevice();
    for (const value of [0, -1e4, 1e4]) {
      const flat = await entropy(device.full([2, 3, 8192], value)).data();
      for (const one of flat) expect(one).toBeCloseTo(Math.log(8192), 4);
    }
    const sure = Float32Array.from({ length: 132 }, (_, k) => (k === 7 ? 200 : 0));
    expect(await entropy(device.tensor(sure)).item()).toBeCloseTo(0, 6);
  });

  it('leaves out what typical filtering removed', async () => {
    const device = await testDevice();
    const logits = device.tensor([2, 1, 0.5, 0, -1, -3]);
    const filtered = typicalFilter(logits, { mass: 0.6 }); // the first two stay
    expect(await entropy(filtered.mul(2)).item()).toBeCloseTo(reference([4, 2]), 6);
  });

  it('refuses what has no classes', async () => {
    const device = await testDevice();
    expectError(() => entropy(device.ones([2, 0])), 'shape', /classes/);
    expectError(() => entropy(device.zeros([2, 3], { dtype: 'u32' })), 'dtype', /entropy/);
  });
});
