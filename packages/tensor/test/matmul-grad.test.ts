import { describe, expect, it } from 'vitest';
import { type Tensor, autocast, ops, scope } from '../src/index.js';
import { matmulNT, matmulTN } from '../src/ops/matmul.js';
import { gradcheck } from './gradcheck.js';
import {
  TRANSPOSED,
  type Values,
  expectClose,
  golden,
  leafOf,
  noise,
  permuted,
  relativeError,
  testDevice,
  upload,
} from './helpers.js';

const device = await testDevice();
const cases = await golden('ops');

const leaf = (values: Values): Tensor => leafOf(device, values);

describe('gradients of products', () => {
  it('of linear equal PyTorch', async (context) => {
    await scope(async () => {
      const get = (name: string): Values => cases.get(`linear/${name}`);
      const [x, weight, bias] = [get('input'), permuted(get('weight'), TRANSPOSED), get('bias')].map(leaf);
      ops.linear(x, weight, { bias }).backward(upload(device, get('grad_output')));
      await expectClose(x.grad!, get('grad_input'), { tolerance: 2e-6, context });
      await expectClose(weight.grad!, permuted(get('grad_weight'), TRANSPOSED), { tolerance: 2e-6, context });
      await expectClose(bias.grad!, get('grad_bias'), { tolerance: 2e-6, context });
    });
  });

  it('of a batched product equal PyTorch', async (context) => {
    await scope(async () => {
      const get = (name: string): Values => cases.get(`matmul_batched/${name}`);
      const [a, b] = [leaf(get('a')), leaf(get('b'))];
      a.matmul(b).backward(upload(device, get('grad_output')));
      await expectClose(a.grad!, get('grad_a'), { tolerance: 2e-6, context });
      await expectClose(b.grad!, get('grad_b'), { tolerance: 2e-6, context });
    });
  });

  it.each([
    { k: 8, n: 12 },
    { k: 3, n: 5 },
  ])('of linear with all that it fuses equal finite differences: $k to $n', async ({ k, n }) => {
    const inputs = [noise([2, 3, k], 1), noise([k, n], 2), noise([n], 3), noise([2, 3, n], 4)];
    for (const activation of ['none', 'gelu', 'silu'] as const) {
      await gradcheck(
        device,
        (x, weight, bias, residual) => ops.linear(x, weight, { bias, residual, activation }),
        inputs,
      );
    }
  });

  it.each([
    { m: 9, k: 12, n: 8, batch: 1 },
    { m: 17, k: 8, n: 20, batch: 3 },
    { m: 1, k: 4, n: 4, batch: 1 },
  ])('come from kernels that agree with their naive twins: $batch × $m,$k,$n', async ({ m, k, n, batch }) => {
    await scope(async () => {
      const a = upload(device, noise([batch, m, k], 1));
      const bT = upload(device, noise([batch, n, k], 2));
      const naive = await matmulNT(a, bT, { force: 'naive' }).data();
      expect(relativeError(await matmulNT(a, bT, { force: 'tile' }).data(), naive)).toBeLessThan(1e-6);
      const x = upload(device, noise([batch, 130, m % 4 ? 12 : m], 3));
      const y = upload(device, noise([batch, 130, n], 4));
      const sums = await matmulTN(x, y, { force: 'naive' }).data();
      for (const chunk of [130, 64, 17]) {
        expect(relativeError(await matmulTN(x, y, { force: 'tile', chunk }).data(), sums)).toBeLessThan(1e-6);
      }
    });
  });

  it.each([undefined, 'naive'] as const)('of no rows are zero (%s)', async (force) => {
    await scope(async () => {
      const empty = (...shape: number[]): Values => ({ shape, data: new Float32Array() });
      const [x, weight, bias] = [empty(0, 8), noise([8, 4], 1), noise([4], 2)].map(leaf);
      ops.linear(x, weight, { bias, force }).backward(upload(device, empty(0, 4)));
      expect(x.grad!.shape).toEqual([0, 8]);
      for (const { grad } of [weight, bias])
        expect((await grad!.data()).every((one) => one === 0)).toBe(true);
      const [a, b] = [noise([2, 3, 8], 3), empty(2, 8, 0)].map(leaf);
      ops.matmul(a, b, { force }).backward(upload(device, empty(2, 3, 0)));
      expect((await a.grad!.data()).every((one) => one === 0)).toBe(true);
      expect(b.grad!.shape).toEqual([2, 8, 0]);
    });
  });

  it('pass through weights that are stored as f16', async () => {
    await scope(async () => {
      const x = leaf(noise([5, 8], 1));
      const weight = upload(device, noise([8, 12], 2));
      const upstream = upload(device, noise([5, 12], 3));
      ops.linear(x, weight.to('f16')).backward(upstream);
      const expected = matmulNT(upstream, weight.to('f16').to('f32'), { force: 'naive' });
      expect(relativeError(await x.grad!.data(), await expected.data())).toBeLessThan(1e-6);
    });
  });

  it('in mixed precision are those of f32 but for rounding, with half of the inputs kept', async () => {
    await scope(async () => {
      const run = async (mixed: boolean) => {
        const layers = [1, 2, 3].map((seed) => leaf(noise([64, 64], seed, 0.2)));
        const x = leaf(noise([512, 64], 4));
        const forward = (): Tensor =>
          scope(() => layers.reduce((h, weight) => ops.linear(h, weight, { activation: 'gelu' }), x));
        device.trim(); // a larger buffer out of the pool would count whole
        const before = device.memory().liveBytes;
        const out = mixed ? autocast(forward) : forward();
        const kept = device.memory().liveBytes - before;
        out.backward(upload(device, noise(out.shape, 5)));
        const gradients = [x, ...layers].map(async ({ grad }) => (await grad!.data()) as Float32Array);
        return { kept, gradients: await Promise.all(gradients) };
      };
      const [mixed, full] = [await run(true), await run(false)];
      mixed.gradients.forEach((gradient, i) => {
        const error = relativeError(gradient, full.gradients[i]);
        expect(error).toBeGreaterThan(0);
        expect(error).toBeLessThan(3e-3);
      });
      // Two inputs shrink by 64 KiB; the first, which lives on anyway, and the weights have a copy in f16.
      expect(mixed.kept).toBeLessThan(full.kept - 32 * 1024);
    });
  });
});
