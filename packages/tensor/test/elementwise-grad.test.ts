import { describe, expect, it } from 'vitest';
import { type Tensor, ops, scope } from '../src/index.js';
import { gradcheck } from './gradcheck.js';
import { type Values, expectClose, golden, noise, testDevice, upload } from './helpers.js';

const device = await testDevice();
const cases = await golden('ops');

/** Numbers in [low, high], far enough from each other's signs for finite differences. */
const between = (shape: number[], seed: number, low: number, high: number): Values => {
  const values = noise(shape, seed);
  return { shape, data: values.data.map((x) => low + ((x + 1) / 2) * (high - low)) };
};

describe('gradients of elementwise functions', () => {
  it.each([
    ['gelu_erf', (x: Tensor) => x.gelu()],
    ['gelu_tanh', (x: Tensor) => x.gelu({ approximate: 'tanh' })],
    ['silu', (x: Tensor) => x.silu()],
    ['leaky_relu', (x: Tensor) => x.leakyRelu(0.2)],
    ['sigmoid', (x: Tensor) => x.sigmoid()],
    ['softmax', (x: Tensor) => x.softmax()],
    ['log_softmax', (x: Tensor) => x.logSoftmax()],
  ] as const)('%s equals PyTorch', async (name, fn) => {
    await scope(async () => {
      const x = upload(device, cases.get(`${name}/input`));
      x.requiresGrad = true;
      fn(x).backward(upload(device, cases.get(`${name}/grad_output`)));
      await expectClose(x.grad!, cases.get(`${name}/grad_input`), { tolerance: 2e-6 });
    });
  });

  it.each<[string, (x: Tensor) => Tensor]>([
    ['neg', (x) => x.neg()],
    ['abs', (x) => x.abs()],
    ['exp', (x) => x.exp()],
    ['log', (x) => x.log()],
    ['sqrt', (x) => x.sqrt()],
    ['square', (x) => x.square()],
    ['sin', (x) => x.sin()],
    ['cos', (x) => x.cos()],
    ['tanh', (x) => x.tanh()],
    ['relu', (x) => x.relu()],
    ['clamp', (x) => x.clamp(0.2, 0.8)],
    ['scalars', (x) => x.mul(3).add(2).sub(1).div(2).pow(1.5).maximum(0.9).minimum(1.8)],
    ['softmax over rows', (x) => x.softmax(0)],
    ['log-softmax over rows', (x) => x.logSoftmax(0)],
    ['sum', (x) => x.sum(1)],
    ['mean of all', (x) => x.mean()],
    ['max', (x) => x.max(0)],
    ['min', (x) => x.min(1, { keepdim: true })],
    ['expand', (x) => ops.expand(x.reshape([3, 1, 7]), [2, 3, 5, 7])],
  ])('%s equals finite differences', async (_, fn) => {
    await gradcheck(device, fn, [between([3, 7], 5, 0.25, 0.75)], { eps: 2e-3 });
  });

  it.each<[string, (a: Tensor, b: Tensor) => Tensor]>([
    ['add', (a, b) => a.add(b)],
    ['sub', (a, b) => a.sub(b)],
    ['mul', (a, b) => a.mul(b)],
    ['div', (a, b) => a.div(b)],
    ['maximum', (a, b) => a.maximum(b)],
    ['minimum', (a, b) => a.minimum(b)],
    ['pow', (a, b) => a.pow(b)],
  ])('%s equals finite differences, with broadcasting either way', async (_, fn) => {
    const pairs = [
      [
        [3, 5],
        [3, 5],
      ],
      [[2, 3, 5], [5]],
      [
        [1, 5],
        [2, 3, 1],
      ],
    ];
    for (const [a, b] of pairs) {
      await gradcheck(device, fn, [between(a, 1, 0.5, 2), between(b, 2, 0.5, 2)], { eps: 2e-3 });
    }
  });

  it('is shared by equal elements of a maximum, as in PyTorch', async () => {
    await scope(async () => {
      const x = device.tensor([1, 3, 3, 2], [4], { requiresGrad: true });
      x.max().backward();
      expect([...(await x.grad!.data())]).toEqual([0, 0.5, 0.5, 0]);
      const y = device.tensor([1, 2], [2], { requiresGrad: true });
      y.maximum(device.tensor([1, 0]))
        .sum()
        .backward();
      expect([...(await y.grad!.data())]).toEqual([0.5, 1]);
    });
  });

  it('does not pass through comparisons', async () => {
    await scope(async () => {
      const x = device.tensor([1, 2, 3], [3], { requiresGrad: true });
      expect(ops.binary('gt', x, 1.5).requiresGrad).toBe(false);
      expect(ops.binary('eq', x, device.tensor([2])).requiresGrad).toBe(false);
      const above = ops.binary('gt', x, 1.5);
      x.mul(above).sum().backward();
      expect([...(await x.grad!.data())]).toEqual([0, 1, 1]);
    });
  });

  it('of a division is in range where the square of the divisor is not', async () => {
    await scope(async () => {
      const a = device.tensor([2e-24, 3e24], [2]);
      const b = device.tensor([1e-24, 1e24], [2], { requiresGrad: true });
      a.div(b).backward(device.ones([2]));
      const [small, large] = await b.grad!.data();
      expect(small / -2e24).toBeCloseTo(1, 5);
      expect(large / -3e-24).toBeCloseTo(1, 5);
    });
  });

  it('passes through a conversion to f16 unrounded', async () => {
    await scope(async () => {
      const x = device.tensor([1, 2, 3], [3], { requiresGrad: true });
      x.to('f16')
        .to('f32')
        .mul(1 / 3)
        .sum()
        .backward();
      expect([...(await x.grad!.data())]).toEqual(new Array(3).fill(Math.fround(1 / 3)));
    });
  });
});
