import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../src/dtype.js';
import { argmax, reduce } from '../src/ops/reduce.js';
import {
  type Values,
  expectClose,
  expectError,
  noise,
  relativeError,
  teamForces,
  testDevice,
  upload,
} from './helpers.js';

type Op = 'sum' | 'mean' | 'max' | 'min';
const OPS: Op[] = ['sum', 'mean', 'max', 'min'];

/** Groups elements by the position of their result, in float64. */
function reference(op: Op, { shape, data }: Values, axes: readonly number[]): Values {
  const kept = shape.map((length, i) => (axes.includes(i) ? 1 : length));
  const groups = Array.from({ length: sizeOf(kept) }, () => [] as number[]);
  for (let i = 0; i < data.length; i++) {
    let rest = i;
    let group = 0;
    let stride = 1;
    for (let d = shape.length - 1; d >= 0; d--) {
      if (kept[d] > 1) group += (rest % shape[d]) * stride;
      stride *= kept[d];
      rest = Math.floor(rest / shape[d]);
    }
    groups[group].push(data[i]);
  }
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const fold = {
    sum,
    mean: (values: number[]) => sum(values) / values.length,
    max: (values: number[]) => Math.max(...values),
    min: (values: number[]) => Math.min(...values),
  }[op];
  return { shape: kept, data: Float64Array.from(groups, fold) };
}

describe('reduce', () => {
  it.each(OPS)('%s agrees with float64 over any axes of any shape', async (op) => {
    const device = await testDevice();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(1, 2, 3, 4, 5, 8, 17), { minLength: 1, maxLength: 4 }),
        fc.nat(15),
        fc.boolean(),
        fc.constantFrom(...teamForces(device)),
        async (shape, mask, keepdim, force) => {
          const axes = shape.map((_, i) => i).filter((i) => mask & (1 << i));
          const values = noise(shape, sizeOf(shape) + mask, 2);
          const want = reference(op, values, axes);
          using x = upload(device, values);
          using out = reduce(op, x, axes, { keepdim, force });
          await expectClose(
            out,
            keepdim ? want : { ...want, shape: shape.filter((_, i) => !axes.includes(i)) },
            {
              tolerance: 1e-5,
            },
          );
        },
      ),
      { numRuns: 25 },
    );
  });

  it.each([
    [[100_003], [0]],
    [[3, 4100], [1]],
    [[2, 9000, 4], [1]],
    [[5000, 3], [0]],
    [
      [70, 7, 130],
      [0, 2],
    ],
  ])('splits a long reduction of %j over %j and finds the same', async (shape, axes) => {
    const device = await testDevice();
    // Positive, so that the sum doesn't cancel.
    const values = { shape, data: noise(shape, 5).data.map((value) => 1 + value) };
    using x = upload(device, values);
    for (const op of OPS) {
      const want = { ...reference(op, values, axes), shape: shape.filter((_, i) => !axes.includes(i)) };
      for (const force of teamForces(device)) {
        using out = reduce(op, x, axes, { force });
        await expectClose(out, want, { tolerance: 1e-4 });
      }
    }
  });

  it('sums ten million numbers to one, in f32 rounding', async () => {
    const device = await testDevice();
    const data = noise([10_000_000], 1).data.map((value) => 1 + value / 10);
    using x = device.tensor(data);
    device.resetStats();
    using out = x.sum();
    const exact = data.reduce((total, value) => total + value, 0);
    expect(relativeError(await out.data(), [exact])).toBeLessThan(3e-7);
    expect(device.stats().dispatches).toBeLessThanOrEqual(4);
    using again = x.sum();
    expect(await again.item()).toBe(await out.item());
  });

  it('keeps a mean of equal numbers and huge maxima', async () => {
    const device = await testDevice();
    using x = device.full([3, 700], -3.0e38);
    using max = x.max(1);
    expect([...(await max.data())]).toEqual(new Array(3).fill(Math.fround(-3.0e38)));
    using ones = device.full([5, 999], 0.5);
    using mean = ones.mean();
    expect(await mean.item()).toBeCloseTo(0.5, 6);
  });

  it('names a wrong axis and an empty reduction', async () => {
    const device = await testDevice();
    using x = device.zeros([2, 3]);
    using empty = device.zeros([2, 0]);
    expectError(() => x.sum(2), 'argument', 'sum: axis 2 is outside a tensor of 2 dimensions');
    expectError(() => empty.max(1), 'shape', /max: expects at least one element.*\[2,0\]/);
    expectError(() => argmax(empty, 1), 'shape', 'argmax: expects at least one element');
    using tokens = device.zeros([3], { dtype: 'u32' });
    expectError(() => tokens.sum(), 'dtype', 'sum: input must be f32, got u32 [3]');
  });
});

describe('argmax', () => {
  it('finds the first of equal maxima along any axis', async () => {
    const device = await testDevice();
    for (const [shape, axis] of [
      [[37], 0],
      [[4, 33], 1],
      [[5, 7, 6], 1],
      [[9, 4, 2], 0],
    ] as [number[], number][]) {
      // Few different values, so that maxima repeat.
      const values = noise(shape, 3, 4).data.map(Math.round);
      using x = device.tensor(values, shape);
      using out = x.argmax(axis);
      const inner = sizeOf(shape.slice(axis + 1));
      const want = Array.from({ length: values.length / shape[axis] }, (_, i) => {
        const base = Math.floor(i / inner) * shape[axis] * inner + (i % inner);
        const row = Array.from({ length: shape[axis] }, (_, j) => values[base + j * inner]);
        return row.indexOf(Math.max(...row));
      });
      expect(out.dtype).toBe('u32');
      expect([...(await out.data())]).toEqual(want);
    }
  });
});
