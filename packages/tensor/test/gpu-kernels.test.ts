/** Kernels meant for GPUs, run on whichever adapter there is: it needs the feature, not the speed. */
import fc from 'fast-check';
import { type MatmulVariant, convOutputSize, planConvWeightGrad, planMatmul } from '@paella/kernels';
import { describe, expect, it } from 'vitest';
import { ops, scope } from '../src/index.js';
import { matmulNT, matmulTN } from '../src/ops/matmul.js';
import { noise, relativeError, testDevice, upload } from './helpers.js';

const device = await testDevice();
/** Of sums of some hundred products in another order, some of which cancel. A wrong index shows as 1e-2 and more. */
const tolerance = 1e-5;

/** Below, at and above the sizes of tiles, stages and pieces. */
const rows = fc.constantFrom<number[]>(1, 3, 8, 63, 64, 65, 130);
const columns = fc.constantFrom<number[]>(4, 12, 60, 64, 68, 132);
const steps = fc.constantFrom<number[]>(4, 12, 16, 20, 100, 512, 516);
const shapes = fc.tuple(fc.integer({ min: 1, max: 3 }), rows, steps, columns);

type Sizes = [number, number, number, number];
const check = (sizes: fc.Arbitrary<Sizes>, body: (values: Sizes) => Promise<void>) =>
  fc.assert(
    fc.asyncProperty(sizes, (values) => scope(() => body(values))),
    { numRuns: 8 },
  );

// Pipelines by barriers take a software adapter seconds to compile: `tall` differs from `shared` in one constant.
describe('products staged in workgroup memory', () => {
  it.each<MatmulVariant>(['shared', 'tall', 'split'])(
    'equal the naive twin over odd shapes: a·b, %s',
    (force) =>
      check(shapes, async ([batch, m, k, n]) => {
        const a = upload(device, noise([batch, m, k], 1));
        const b = upload(device, noise([batch, k, n], 2));
        const want = await ops.matmul(a, b, { force: 'naive' }).data();
        expect(relativeError(await ops.matmul(a, b, { force }).data(), want)).toBeLessThan(tolerance);
      }),
  );

  it.each<MatmulVariant>(['shared', 'split'])('equal the naive twin over odd shapes: a·bᵀ, %s', (force) =>
    check(shapes, async ([batch, m, k, n]) => {
      const a = upload(device, noise([batch, m, k], 1));
      const b = upload(device, noise([batch, n, k], 2));
      const want = await matmulNT(a, b, { force: 'naive' }).data();
      expect(relativeError(await matmulNT(a, b, { force }).data(), want)).toBeLessThan(tolerance);
    }),
  );

  it('equal the naive twin over odd shapes: aᵀ·b, whole and in chunks', () =>
    check(fc.tuple(fc.integer({ min: 1, max: 3 }), columns, rows, columns), async ([batch, m, k, n]) => {
      const a = upload(device, noise([batch, k, m], 1));
      const b = upload(device, noise([batch, k, n], 2));
      const want = await matmulTN(a, b, { force: 'naive' }).data();
      for (const chunk of [undefined, 16, 33]) {
        const out = await matmulTN(a, b, { force: 'shared', chunk }).data();
        expect(relativeError(out, want)).toBeLessThan(tolerance);
      }
    }));

  it.each<MatmulVariant>(['shared', 'split'])('fuse what the naive twin does, f16 weights too: %s', (force) =>
    check(shapes, async ([, m, k, n]) => {
      const x = upload(device, noise([m, k], 1));
      const weight = upload(device, noise([k, n], 2));
      const bias = upload(device, noise([n], 3));
      const residual = upload(device, noise([m, n], 4));
      const half = weight.to('f16');
      for (const w of [weight, half]) {
        for (const options of [{ bias }, { residual }, { bias, activation: 'gelu', residual }] as const) {
          const want = await ops.linear(x, w.to('f32'), { ...options, force: 'naive' }).data();
          const out = await ops.linear(x, w, { ...options, force }).data();
          expect(relativeError(out, want)).toBeLessThan(tolerance);
        }
      }
    }),
  );

  // Several tiles of pixels and of channels; conv.test.ts has every other kind of shape.
  it.each([
    { image: [2, 9, 11, 20], kernel: 3, outChannels: 132, padding: 1, paddingMode: 'replicate' as const },
    { image: [1, 16, 18, 68], kernel: 4, outChannels: 68, padding: 1, stride: 2 },
    { image: [3, 7, 5, 4], kernel: 2, outChannels: 64, padding: 0, stride: 2 },
  ])('equal the naive twin as convolutions of $image by $kernel to $outChannels', (one) =>
    scope(async () => {
      const { image, kernel, outChannels, ...options } = one;
      const x = upload(device, noise(image, 1));
      const weight = upload(device, noise([kernel, kernel, image[3], outChannels], 2));
      const bias = upload(device, noise([outChannels], 3));
      for (const op of [ops.conv2d, ops.convTranspose2d]) {
        const want = await op(x, weight, { ...options, bias, force: 'naive' }).data();
        const out = await op(x, weight, { ...options, bias, force: 'shared' }).data();
        expect(relativeError(out, want)).toBeLessThan(tolerance);
      }
    }),
  );
});

describe('the weight gradient of a convolution, staged in workgroup memory', () => {
  it.each([
    { image: [2, 9, 11, 20], kernel: 3, outChannels: 132, padding: 1, replicate: true },
    { image: [3, 16, 18, 68], kernel: 4, outChannels: 12, padding: 1, stride: 2 },
    { image: [1, 7, 5, 4], kernel: 1, outChannels: 64, padding: 0, stride: 3 },
  ])('equals the naive twin: $image by $kernel to $outChannels', (one) =>
    scope(async () => {
      const { kernel, outChannels, padding, stride = 1, replicate = false } = one;
      const [batch, height, width, channels] = one.image;
      const kernels = { kernelHeight: kernel, kernelWidth: kernel, stride, padding, groups: 1 };
      const shape = { batch, height, width, channels, outChannels, ...kernels };
      const size = convOutputSize(shape);
      const x = upload(device, noise(one.image, 1));
      const dy = upload(device, noise([batch, size.height, size.width, outChannels], 2));
      const [naive, shared] = (['naive', 'shared'] as const).map((force) => {
        const plan = planConvWeightGrad(shape, { replicate, force }, device.capabilities);
        const out = device.empty([plan.chunks, kernel, kernel, channels, outChannels]);
        device.run(plan.launch, [x, dy, out]);
        return out.sum(0);
      });
      expect(relativeError(await shared.data(), await naive.data())).toBeLessThan(tolerance);
    }),
  );
});

describe('matmul matrix', () => {
  it('equals the naive twin where subgroups multiply matrices, and is not chosen elsewhere', () =>
    scope(async () => {
      const { capabilities } = device;
      const [m, k, n] = [192, 72, 128];
      const { launch } = planMatmul({ batch: 1, m, k, n }, {}, capabilities);
      expect(launch.kernel.name === 'matmul_matrix').toBe(capabilities.matrixSubgroup > 0);
      const [x, w, bias] = [noise([m, k], 1), noise([k, n], 2), noise([n], 3)].map((one) =>
        upload(device, one),
      );
      const want = await ops.linear(x, w, { bias, force: 'naive' }).data();
      const out = await ops.linear(x, w, { bias }).data();
      expect(relativeError(out, want)).toBeLessThan(tolerance);
    }));
});
