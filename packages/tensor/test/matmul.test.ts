import fc from 'fast-check';
import { describe, it } from 'vitest';
import { linear, matmul } from '../src/ops/matmul.js';
import {
  TRANSPOSED,
  type Values,
  expectClose,
  expectError,
  golden,
  noise,
  permuted,
  testDevice,
  upload,
} from './helpers.js';

/** `[batch,m,k] × [batch or 1,k,n]` in float64. */
function product(a: Values, b: Values): Values {
  const [batch, m, k] = a.shape;
  const n = b.shape[2];
  const out = new Float64Array(batch * m * n);
  for (let row = 0; row < batch * m; row++) {
    const from = b.shape[0] === 1 ? 0 : Math.floor(row / m) * k * n;
    for (let i = 0; i < k; i++) {
      for (let j = 0; j < n; j++) out[row * n + j] += a.data[row * k + i] * b.data[from + i * n + j];
    }
  }
  return { shape: [batch, m, n], data: out };
}

describe('matmul', () => {
  it('matmul_batched matches PyTorch', async (context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    const [a, b] = ['a', 'b'].map((name) => upload(device, file.get(`matmul_batched/${name}`)));
    using out = a.matmul(b);
    await expectClose(out, file.get('matmul_batched/output'), { context });
  });

  it('linear matches PyTorch', async (context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    const x = upload(device, file.get('linear/input'));
    const weight = upload(device, permuted(file.get('linear/weight'), TRANSPOSED));
    using out = linear(x, weight, { bias: upload(device, file.get('linear/bias')) });
    await expectClose(out, file.get('linear/output'), { context });
  });

  it('agrees with float64 over odd shapes, in the kernel that fits, the one that fits anywhere, and the naive one', async () => {
    const device = await testDevice();
    const length = fc.constantFrom(1, 3, 4, 5, 8, 12, 17, 36);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), length, length, length, async (batch, m, k, n) => {
        const [x, y] = [noise([batch, m, k], m), noise([batch, k, n], n)];
        using a = upload(device, x);
        using b = upload(device, y);
        const want = product(x, y);
        const tiles = k % 4 === 0 && n % 4 === 0 ? (['tile'] as const) : [];
        for (const force of [undefined, ...tiles, 'naive'] as const) {
          using out = matmul(a, b, { force });
          await expectClose(out, want, { tolerance: 1e-5 });
        }
      }),
      { numRuns: 25 },
    );
  });

  it.each([
    [3, 5, 7],
    [9, 16, 12],
    [17, 64, 40],
    [64, 260, 4],
  ])('fuses bias, activation and residual over %i×%i×%i', async (m, k, n) => {
    const device = await testDevice();
    const [x, w, b, r] = [noise([1, m, k], 1), noise([1, k, n], 2), noise([n], 3), noise([1, m, n], 4)];
    const plain = product(x, w);
    const silu = (v: number) => v / (1 + Math.exp(-v));
    const biased = plain.data.map((v, i) => v + b.data[i % n]);
    const weight = upload(device, { shape: [k, n], data: w.data });
    const [input, bias, residual] = [x, b, r].map((values) => upload(device, values));
    for (const force of [undefined, 'naive'] as const) {
      const check = async (options: Parameters<typeof linear>[2], data: Float64Array) => {
        using out = linear(input, weight, { ...options, force });
        await expectClose(out, { shape: [1, m, n], data }, { tolerance: 1e-5 });
      };
      const biasedData = Float64Array.from(biased);
      await check({ bias }, biasedData);
      await check({ bias, activation: 'silu' }, biasedData.map(silu));
      await check(
        { residual },
        Float64Array.from(plain.data, (v, i) => v + r.data[i]),
      );
      await check(
        { bias, activation: 'relu', residual },
        biasedData.map((v, i) => Math.max(v, 0) + r.data[i]),
      );
    }
  });

  it('names operands that do not fit', async () => {
    const device = await testDevice();
    using a = device.zeros([2, 3, 4]);
    using b = device.zeros([2, 5, 6]);
    using weight = device.zeros([4, 6]);
    using five = device.zeros([5]);
    using tokens = device.zeros([3, 4], { dtype: 'u32' });
    expectError(() => a.matmul(b), 'shape', /matmul: .*\[2,3,4\].*\[2,5,6\]/);
    expectError(() => five.matmul(weight), 'shape', /linear: .*input \[5\].*weight \[4,6\]/);
    expectError(() => linear(a, weight, { bias: five }), 'shape', /linear: expects 6 biases.*bias \[5\]/);
    expectError(
      () => linear(a, weight, { residual: five }),
      'shape',
      /linear: expects 36 residuals.*residual \[5\]/,
    );
    expectError(() => tokens.matmul(weight), 'dtype', 'must be f32, got u32 [3,4]');
  });
});
