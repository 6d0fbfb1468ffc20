import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../src/dtype.js';
import { logSoftmax, softmax } from '../src/ops/softmax.js';
import {
  type Values,
  expectClose,
  expectError,
  golden,
  noise,
  teamForces,
  testDevice,
  upload,
} from './helpers.js';

function reference({ shape, data }: Values, axis: number, log: boolean): Values {
  const inner = sizeOf(shape.slice(axis + 1));
  const length = shape[axis];
  const out = new Float64Array(data.length);
  for (let row = 0; row < data.length / length; row++) {
    const base = Math.floor(row / inner) * length * inner + (row % inner);
    const at = Array.from({ length }, (_, j) => base + j * inner);
    const peak = Math.max(...at.map((i) => data[i]));
    const total = at.reduce((sum, i) => sum + Math.exp(data[i] - peak), 0);
    for (const i of at) out[i] = log ? data[i] - peak - Math.log(total) : Math.exp(data[i] - peak) / total;
  }
  return { shape, data: out };
}

describe('softmax', () => {
  it.for([
    ['softmax', softmax],
    ['log_softmax', logSoftmax],
  ] as const)('%s matches PyTorch', async ([name, op], context) => {
    const device = await testDevice();
    const file = await golden('ops');
    using x = upload(device, file.get(`${name}/input`));
    for (const force of teamForces(device)) {
      using out = op(x, -1, { force });
      await expectClose(out, file.get(`${name}/output`), { context });
    }
  });

  it('agrees with float64 along any axis of any shape, also for large logits', async () => {
    const device = await testDevice();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(1, 3, 4, 5, 8, 130), { minLength: 1, maxLength: 3 }),
        fc.nat(2),
        fc.constantFrom(1, 80),
        fc.boolean(),
        fc.constantFrom(...teamForces(device)),
        async (shape, anyAxis, scale, log, force) => {
          const axis = anyAxis % shape.length;
          const values = noise(shape, sizeOf(shape) + anyAxis, scale);
          using x = upload(device, values);
          using out = (log ? logSoftmax : softmax)(x, axis, { force });
          await expectClose(out, reference(values, axis, log), { tolerance: 2e-5 });
        },
      ),
      { numRuns: 30 },
    );
  });

  it('gives masked elements nothing', async () => {
    const device = await testDevice();
    using x = device.tensor([1, 2, -3e38, -3e38, -3e38, -3e38, 5, -3e38], [2, 4]);
    using out = x.softmax();
    const [a, b, ...rest] = await out.data();
    expect(a + b).toBeCloseTo(1, 6);
    expect(rest).toEqual([0, 0, 0, 0, 1, 0]);
  });

  it('names a wrong axis', async () => {
    const device = await testDevice();
    using x = device.zeros([2, 3]);
    expectError(() => x.softmax(-3), 'argument', 'softmax: axis -3 is outside a tensor of 2 dimensions');
  });
});
