import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../src/dtype.js';
import { binary, unary } from '../src/ops/elementwise.js';
import type { Tensor } from '../src/tensor.js';
import {
  type Values,
  expectClose,
  expectError,
  golden,
  noise,
  relativeError,
  testDevice,
  upload,
} from './helpers.js';

type BinaryOp = Parameters<typeof binary>[0];
type UnaryOp = Parameters<typeof unary>[0];

const BINARY: [BinaryOp, (a: number, b: number) => number][] = [
  ['add', (a, b) => a + b],
  ['sub', (a, b) => a - b],
  ['mul', (a, b) => a * b],
  ['div', (a, b) => a / b],
  ['maximum', Math.max],
  ['minimum', Math.min],
  ['pow', Math.pow],
];

const UNARY: [UnaryOp, (x: number) => number][] = [
  ['neg', (x) => -x],
  ['abs', Math.abs],
  ['exp', Math.exp],
  ['log', Math.log],
  ['sqrt', Math.sqrt],
  ['square', (x) => x * x],
  ['sin', Math.sin],
  ['cos', Math.cos],
  ['tanh', Math.tanh],
  ['relu', (x) => Math.max(x, 0)],
];

describe('elementwise functions', () => {
  it.for<[string, (x: Tensor) => Tensor]>([
    ['gelu_erf', (x) => x.gelu()],
    ['gelu_tanh', (x) => x.gelu({ approximate: 'tanh' })],
    ['silu', (x) => x.silu()],
    ['leaky_relu', (x) => x.leakyRelu(0.2)],
    ['sigmoid', (x) => x.sigmoid()],
  ])('%s matches PyTorch', async ([name, run], context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    using out = run(upload(device, file.get(`${name}/input`)));
    await expectClose(out, file.get(`${name}/output`), { context });
  });

  it.each(UNARY)('%s agrees with float64 on any length', async (op, exact) => {
    const device = await testDevice();
    for (const length of [1, 3, 4, 66, 1001]) {
      const data = noise([length], length, 3).data;
      if (op === 'log' || op === 'sqrt') data.forEach((x, i) => (data[i] = Math.abs(x) + 0.01));
      using out = unary(op, device.tensor(data));
      await expectClose(out, { shape: [length], data: Float64Array.from(data, exact) }, { tolerance: 1e-5 });
    }
  });

  it('sine and cosine stay accurate for large arguments', async () => {
    const device = await testDevice();
    const angles = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) * 5.0003);
    using x = device.tensor(angles);
    for (const [out, exact] of [
      [x.sin(), Math.sin],
      [x.cos(), Math.cos],
    ] as const) {
      (await out.data()).forEach((y, i) => expect(Math.abs(y - exact(angles[i]))).toBeLessThan(5e-7));
    }
  });

  it('activations stay finite far from zero', async () => {
    const device = await testDevice();
    using x = device.tensor([-3e38, -1000, -100, 100, 1000, 3e38]);
    for (const [out, want] of [
      [x.sigmoid(), [0, 0, 0, 1, 1, 1]],
      [x.tanh(), [-1, -1, -1, 1, 1, 1]],
      [x.clamp(-2, 5), [-2, -2, -2, 5, 5, 5]],
    ] as [Tensor, number[]][]) {
      expect(relativeError(await out.data(), want)).toBeLessThan(1e-6);
    }
    using middle = device.tensor([-1000, -100, 100, 1000]);
    for (const out of [middle.gelu(), middle.gelu({ approximate: 'tanh' }), middle.silu()]) {
      expect(relativeError(await out.data(), [0, 0, 100, 1000])).toBeLessThan(1e-6);
    }
  });
});

/** The element of `values` at a position of a shape it broadcasts to. */
function broadcastAt({ shape, data }: Values, position: readonly number[]): number {
  const skip = position.length - shape.length;
  return data[shape.reduce((at, length, d) => at * length + (length === 1 ? 0 : position[d + skip]), 0)];
}

/** Two shapes that broadcast against each other, and the result's. */
const shapes = fc
  .array(fc.tuple(fc.constantFrom(1, 2, 3, 4, 7), fc.constantFrom('both', 'a', 'b')), {
    minLength: 1,
    maxLength: 4,
  })
  .chain((dimensions) =>
    fc
      .tuple(fc.constant(dimensions), fc.nat(dimensions.length - 1), fc.boolean())
      .map(([all, drop, dropA]) => {
        const a = all.map(([length, who]) => (who === 'b' ? 1 : length));
        const b = all.map(([length, who]) => (who === 'a' ? 1 : length));
        // One operand may lack leading dimensions.
        const [short, long] = dropA ? [a, b] : [b, a];
        const cut = short.slice(drop);
        const out = all.map(([length], d) => (d < drop ? long[d] : length));
        return { a: dropA ? cut : long, b: dropA ? long : cut, out };
      }),
  );

describe('broadcasting', () => {
  it.each(BINARY)('%s follows NumPy over any two shapes', async (op, exact) => {
    const device = await testDevice();
    await fc.assert(
      fc.asyncProperty(shapes, async ({ a, b, out: shape }) => {
        const [x, y] = [noise(a, 1), noise(b, 2)];
        // Away from zero, and positive below a power.
        for (const { data } of [x, y]) data.forEach((value, i) => (data[i] = Math.abs(value) + 0.1));
        const want = new Float64Array(sizeOf(shape));
        for (let i = 0; i < want.length; i++) {
          let rest = i;
          const position = shape.map(() => 0);
          for (let d = shape.length - 1; d >= 0; d--) {
            position[d] = rest % shape[d];
            rest = Math.floor(rest / shape[d]);
          }
          want[i] = exact(broadcastAt(x, position), broadcastAt(y, position));
        }
        using left = upload(device, x);
        using right = upload(device, y);
        using out = binary(op, left, right);
        await expectClose(out, { shape, data: want }, { tolerance: 1e-5 });
      }),
      { numRuns: 15 },
    );
  });

  it('takes a number for the second operand', async () => {
    const device = await testDevice();
    const values = noise([3, 7], 4);
    values.data.forEach((x, i) => (values.data[i] = Math.abs(x) + 0.1));
    using x = upload(device, values);
    for (const [op, exact] of BINARY) {
      using out = binary(op, x, 1.7);
      await expectClose(out, { shape: [3, 7], data: Float64Array.from(values.data, (a) => exact(a, 1.7)) });
    }
  });

  it('names operands that do not broadcast, or have the wrong type', async () => {
    const device = await testDevice();
    using a = device.zeros([2, 3]);
    using b = device.zeros([2, 4]);
    using tokens = device.zeros([3], { dtype: 'u32' });
    expectError(() => a.add(b), 'shape', /add: the shapes do not broadcast.*\[2,3\].*\[2,4\]/);
    expectError(() => a.mul(tokens), 'dtype', 'mul: other must be f32, got u32 [3]');
    expectError(() => tokens.exp(), 'dtype', 'exp: input must be f32, got u32 [3]');
  });
});
