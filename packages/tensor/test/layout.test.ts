import { planCopy } from '@paella/kernels';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../src/device/device.js';
import { sizeOf } from '../src/dtype.js';
import * as ops from '../src/ops/layout.js';
import {
  type Golden,
  type Values,
  NCHW_TO_NHWC,
  expectSame,
  expectError,
  golden,
  noise,
  permuted,
  testDevice,
  upload,
} from './helpers.js';

let device: Device;
let cases: Golden;
beforeAll(async () => {
  device = await testDevice();
  cases = await golden('ops');
});

const count = (shape: readonly number[]) =>
  device.arange(0, sizeOf(shape), 1, { dtype: 'u32' }).reshape(shape);

describe('pixel shuffle', () => {
  it.each(['pixel_shuffle', 'pixel_unshuffle'] as const)('%s orders channels as PyTorch', async (name) => {
    const [input, output] = ['input', 'output'].map((key) =>
      permuted(cases.get(`${name}/${key}`), NCHW_TO_NHWC),
    );
    const op = name === 'pixel_shuffle' ? ops.pixelShuffle : ops.pixelUnshuffle;
    await expectSame(op(upload(device, input), 2), output);
  });

  it('is undone by unshuffle for any factor', async () => {
    const x = count([2, 3, 5, 18]);
    const back = ops.pixelUnshuffle(ops.pixelShuffle(x, 3), 3);
    expect(back.shape).toEqual(x.shape);
    expect(await back.data()).toEqual(await x.data());
  });

  it('names what does not fit', () => {
    expectError(() => ops.pixelShuffle(count([1, 2, 2, 6]), 2), 'shape', 'divisible by 4');
    expectError(() => ops.pixelUnshuffle(count([1, 3, 2, 6]), 2), 'shape', 'divisible by 2');
    expectError(() => ops.pixelShuffle(count([1, 2, 2, 6]), 0.5), 'argument', 'whole number');
  });
});

describe('permute', () => {
  const arbitrary = fc
    .array(fc.constantFrom(1, 2, 3, 4, 8), { minLength: 1, maxLength: 6 })
    .chain((shape) =>
      fc.tuple(fc.constant(shape), fc.shuffledSubarray([...shape.keys()], { minLength: shape.length })),
    );

  it('moves every element to where its index says, for any shape and order', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrary, async ([shape, axes]) => {
        const values = { shape, data: Int32Array.from({ length: sizeOf(shape) }, (_, i) => i) };
        const out = upload(device, values).permute(axes);
        await expectSame(out, permuted(values, axes));
        out.dispose();
      }),
      { numRuns: 40 },
    );
  });

  it('copies runs of four as it copies single words', async () => {
    const shape = [3, 2, 5, 8];
    const view = {
      shape,
      from: { strides: [8, 24, 48, 1], offset: 8 },
      to: { strides: [80, 40, 8, 1], offset: 4 },
    };
    const x = count([256]);
    const [fast, twin] = ([undefined, 'scalar'] as const).map((force) => {
      const out = device.zeros([256], { dtype: 'u32' });
      const plan = planCopy(view, { force }, device.capabilities);
      expect(plan.kernel.name).toBe(force ? 'copy' : 'copy_vec4');
      device.run(plan, [x, out]);
      return out;
    });
    expect(await fast.data()).toEqual(await twin.data());
  });

  it('keeps every bit of a float', async () => {
    const bits = Uint32Array.of(0x7fc00001, 0x00000001, 0x80000000, 0xff800000, 1, 2);
    const x = device.tensor(new Float32Array(bits.buffer), [2, 3]);
    const back = x.transpose(0, 1).transpose();
    expect(new Uint32Array((await back.data()).buffer)).toEqual(bits);
  });

  it('shares memory when nothing moves', () => {
    device.resetStats();
    const x = count([4, 1, 6]);
    expect(x.permute([1, 0, 2]).buffer).toBe(x.buffer);
    expect(x.slice(0, 0).buffer).toBe(x.buffer);
    expect(device.stats().dispatches).toBe(0);
  });

  it('rejects a list that is no permutation, and seven scattered dimensions', () => {
    expectError(() => count([2, 3]).permute([0, 0]), 'argument', 'each of 2 axes once');
    expectError(() => count([2, 3]).permute([0, 2]), 'argument', 'outside');
    const seven = count([2, 2, 2, 2, 2, 2, 2]);
    expectError(() => seven.permute([6, 5, 4, 3, 2, 1, 0]), 'argument', 'reshape()');
  });
});

describe('slice and cat', () => {
  it.each([
    [[2, 3, 4, 5], 1, [1, 2]],
    [[2, 3, 4, 8], 3, [4, 4]],
    [[7], 0, [3, 4]],
    [[5, 6], 1, [1, 0, 5]],
  ])('cat undoes slices of %o along %i', async (shape, axis, lengths) => {
    const x = count(shape);
    let start = 0;
    const parts = lengths.map((length) => ops.slice(x, axis, start, (start += length)));
    expect(parts.map((part) => part.shape[axis])).toEqual(lengths);
    expect(await ops.cat(parts, axis).data()).toEqual(await x.data());
  });

  it('reads the elements between two positions, counted from either end', async () => {
    const x = count([2, 4]);
    expect([...(await x.slice(1, -3, -1).data())]).toEqual([1, 2, 5, 6]);
    expect(x.slice(1, 3, 99).shape).toEqual([2, 1]);
    expect(x.slice(1, 3, 2).shape).toEqual([2, 0]);
  });

  it('joins channels of two images', async () => {
    const [a, b]: Values[] = [noise([2, 3, 5, 4], 1), noise([2, 3, 5, 3], 2)];
    const data = Array.from({ length: 30 }, (_, i) => [
      ...a.data.subarray(i * 4, i * 4 + 4),
      ...b.data.subarray(i * 3, i * 3 + 3),
    ]).flat();
    const reference = { shape: [2, 3, 5, 7], data: Float32Array.from(data) };
    await expectSame(ops.cat([upload(device, a), upload(device, b)]), reference);
  });

  it('names operands that do not fit together', () => {
    expectError(() => ops.cat([count([2, 3]), count([3, 3])], 1), 'shape', 'tensor 1 [3,3]');
    expectError(() => ops.cat([count([2]), device.zeros([2])], 0), 'dtype', 'tensor 1');
    expectError(() => ops.cat([]), 'argument', 'at least one');
  });
});

describe('reshape', () => {
  it('works out one length and lives as long as its last user', async () => {
    const x = count([2, 6]);
    const y = x.reshape([3, -1, 2]);
    expect(y.shape).toEqual([3, 2, 2]);
    x.dispose();
    expect((await y.data())[11]).toBe(11);
  });

  it('rejects another size', () => {
    expectError(() => count([2, 3]).reshape([4, -1]), 'shape', 'cannot make [4,-1] of 6 elements');
    expectError(() => count([2, 3]).reshape([-1, -1]), 'shape', 'cannot make');
    expectError(() => count([2, 3]).reshape([7]), 'shape', 'cannot make');
  });
});
