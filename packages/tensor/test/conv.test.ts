import type { ConvVariant } from '@paella/kernels';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../src/device/device.js';
import { sizeOf } from '../src/dtype.js';
import { type Conv2dOptions, conv2d, convTranspose2d, skipConv2d } from '../src/ops/conv.js';
import {
  type Golden,
  type Values,
  IOHW_TO_HWIO,
  NCHW_TO_NHWC,
  OIHW_TO_HWIO,
  expectClose,
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

const image = (name: string) => permuted(cases.get(name), NCHW_TO_NHWC);
const biasOf = (name: string) => (cases.has(name) ? upload(device, cases.get(name)) : null);

describe('against PyTorch', () => {
  const convolutions: Record<string, Conv2dOptions> = {
    conv2d_1x1: {},
    conv2d_3x3_p1: { padding: 1 },
    conv2d_3x3_s2_p1: { stride: 2, padding: 1 },
    conv2d_2x2_s2: { stride: 2 },
    conv2d_4x4_s2_p1: { stride: 2, padding: 1 },
    conv2d_14x14_s14_nobias: { stride: 14 },
    depthwise_3x3_p1: { padding: 1, groups: 16 },
    depthwise_5x5_p2: { padding: 2, groups: 8 },
    depthwise_3x3_replicate: { padding: 1, groups: 8, paddingMode: 'replicate' },
    grouped_skip_3x3_p1: { padding: 1, groups: 16 },
  };
  const forces = [undefined, 'naive'] as const;

  it.for(
    Object.entries(convolutions).flatMap(([name, options]) =>
      forces.map((force) => ({ name, options, force })),
    ),
  )('$name, kernel $force', async ({ name, options, force }, context) => {
    const x = upload(device, image(`${name}/input`));
    const weight = upload(device, permuted(cases.get(`${name}/weight`), OIHW_TO_HWIO));
    const bias = biasOf(`${name}/bias`);
    const out = cases.has(`${name}/skip`)
      ? skipConv2d(x, upload(device, image(`${name}/skip`)), weight, { bias, padding: 1, force })
      : conv2d(x, weight, { ...options, bias, force });
    await expectClose(out, image(`${name}/output`), { context });
  });

  it.for([
    { name: 'conv_transpose2d_2x2_s2', padding: 0, force: undefined },
    { name: 'conv_transpose2d_2x2_s2', padding: 0, force: 'naive' as const },
    { name: 'conv_transpose2d_4x4_s2_p1', padding: 1, force: undefined },
    { name: 'conv_transpose2d_4x4_s2_p1', padding: 1, force: 'naive' as const },
  ])('$name, kernel $force', async ({ name, padding, force }, context) => {
    const weight = upload(device, permuted(cases.get(`${name}/weight`), IOHW_TO_HWIO));
    const x = upload(device, image(`${name}/input`));
    const out = convTranspose2d(x, weight, { bias: biasOf(`${name}/bias`), stride: 2, padding, force });
    await expectClose(out, image(`${name}/output`), { context });
  });
});

interface Case {
  batch: number;
  height: number;
  width: number;
  channels: number;
  outChannels: number;
  kernel: readonly [number, number];
  stride: number;
  padding: number;
  groups: number;
  replicate: boolean;
  bias: boolean;
}

/** The sum over every (input, tap, output) triple, in float64: scattered if transposed, gathered if not. */
function reference(c: Case, x: Values, weight: Values, bias: Values | null, transposed: boolean): Values {
  const { batch, height, width, channels, outChannels, stride, padding, groups } = c;
  const [kh, kw] = c.kernel;
  const length = (size: number, k: number) =>
    transposed ? (size - 1) * stride - 2 * padding + k : Math.floor((size + 2 * padding - k) / stride) + 1;
  const shape = [batch, length(height, kh), length(width, kw), outChannels];
  const [, oh, ow] = shape;
  const data = new Float64Array(sizeOf(shape));
  if (bias) data.forEach((_, i) => (data[i] = bias.data[i % outChannels]));
  const perGroup = channels / groups;
  const clamp = (value: number, size: number) => Math.min(Math.max(value, 0), size - 1);
  // `near` is the side whose coordinates step by one, `far` the side that the stride spreads.
  const near = transposed ? [height, width] : [oh, ow];
  const far = transposed ? [oh, ow] : [height, width];
  for (let b = 0; b < batch; b++)
    for (let y = 0; y < near[0]; y++)
      for (let x0 = 0; x0 < near[1]; x0++)
        for (let ky = 0; ky < kh; ky++)
          for (let kx = 0; kx < kw; kx++) {
            const wanted = [y * stride - padding + ky, x0 * stride - padding + kx];
            const at = wanted.map((value, i) => clamp(value, far[i]));
            if (!c.replicate && (at[0] !== wanted[0] || at[1] !== wanted[1])) continue;
            const nearIndex = (b * near[0] + y) * near[1] + x0;
            const farIndex = (b * far[0] + at[0]) * far[1] + at[1];
            const [source, target] = transposed ? [nearIndex, farIndex] : [farIndex, nearIndex];
            for (let n = 0; n < outChannels; n++) {
              const first = Math.floor(n / (outChannels / groups)) * perGroup;
              for (let k = 0; k < perGroup; k++) {
                const w = weight.data[((ky * kw + kx) * perGroup + k) * outChannels + n];
                data[target * outChannels + n] += x.data[source * channels + first + k] * w;
              }
            }
          }
  return { shape, data };
}

const side = fc.integer({ min: 4, max: 11 });
const common = {
  batch: fc.constantFrom(1, 2),
  height: side,
  width: side,
  stride: fc.constantFrom(1, 2, 3),
  padding: fc.constantFrom(0, 1, 2),
  replicate: fc.boolean(),
  bias: fc.boolean(),
};
const kernel = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }));
const odd = fc.constantFrom(1, 3, 5, 12);
const fours = fc.constantFrom(4, 8, 12);

type Force = ConvVariant | undefined;

/** Sums of positive numbers do not cancel, so that one output alone has a small relative error too. */
const positive = ({ shape, data }: Values) => ({ shape, data: data.map((value) => value + 1.5) });

/** Runs random cases through a kernel and through the float64 reference. */
async function check(arbitrary: fc.Arbitrary<Case>, force: Force, transposed = false): Promise<void> {
  await fc.assert(
    fc.asyncProperty(arbitrary, fc.nat(), async (c, seed) => {
      const x = positive(noise([c.batch, c.height, c.width, c.channels], seed));
      const weight = positive(noise([...c.kernel, c.channels / c.groups, c.outChannels], seed + 1));
      const bias = c.bias ? noise([c.outChannels], seed + 2) : null;
      const operands = [x, weight].map((values) => upload(device, values));
      const options = { bias: bias && upload(device, bias), stride: c.stride, padding: c.padding };
      const out = transposed
        ? convTranspose2d(operands[0], operands[1], {
            ...options,
            force: force as Exclude<ConvVariant, 'depthwise'>,
          })
        : conv2d(operands[0], operands[1], {
            ...options,
            groups: c.groups,
            paddingMode: c.replicate ? 'replicate' : 'zeros',
            force,
          });
      await expectClose(out, reference(c, x, weight, bias, transposed), { tolerance: 1e-5 });
      for (const tensor of [...operands, options.bias, out]) tensor?.dispose();
    }),
    { numRuns: 25 },
  );
}

describe('against float64', () => {
  it.each(['tile', 'shared', 'naive', undefined] as const)('dense, kernel %s', async (force) => {
    const channels = force === 'tile' || force === 'shared' ? fours : fc.oneof(odd, fours);
    const groups = fc.constant(1);
    await check(fc.record({ ...common, channels, outChannels: channels, kernel, groups }), force);
  });

  it.each(['depthwise', 'naive', undefined] as const)('depthwise, kernel %s', async (force) => {
    const channels = force === 'depthwise' ? fours : fc.oneof(odd, fours);
    const stride = force === 'depthwise' ? fc.constant(1) : common.stride;
    const kernels = fc.constantFrom<readonly [number, number]>(
      [1, 1],
      [3, 3],
      [5, 5],
      [7, 7],
      [3, 5],
      [2, 4],
    );
    const arbitrary = fc
      .record({ ...common, channels, kernel: kernels, stride, padding: fc.constant(3) })
      .map((c) => ({ ...c, outChannels: c.channels, groups: c.channels }));
    await check(arbitrary, force);
  });

  it('grouped', async () => {
    const groups = fc.constantFrom(1, 2, 3);
    const arbitrary = fc
      .record({ ...common, channels: odd, outChannels: odd, kernel, groups })
      .map((c) => ({ ...c, channels: c.channels * c.groups, outChannels: c.outChannels * c.groups }));
    await check(arbitrary, undefined);
  });

  it.each(['tile', 'shared', 'naive', undefined] as const)('transposed, kernel %s', async (force) => {
    const channels = force === 'tile' || force === 'shared' ? fours : fc.oneof(odd, fours);
    const arbitrary = fc.record({
      ...common,
      channels,
      outChannels: channels,
      kernel,
      padding: fc.constantFrom(0, 1),
      replicate: fc.constant(false),
      groups: fc.constant(1),
    });
    await check(arbitrary, force, true);
  });
});

describe('skipConv2d', () => {
  it.each([
    [[2, 5, 7, 8], 3, 1],
    [[1, 4, 4, 24], 3, 1],
    [[2, 3, 6, 16], 5, 2],
    [[1, 6, 5, 12], 3, 1],
    [[2, 4, 3, 6], 3, 0],
  ])('over %o with a %i×%i kernel is a grouped convolution over both', async (shape, size, padding) => {
    const [x, skip] = [1, 2].map((seed) => upload(device, noise(shape, seed)));
    const channels = shape[3];
    const weight = upload(device, noise([size, size, 2, channels], 3));
    const bias = upload(device, noise([channels], 4));
    const twin = skipConv2d(x, skip, weight, { bias, padding, force: 'naive' });
    const out = skipConv2d(x, skip, weight, { bias, padding });
    await expectClose(
      out,
      { shape: twin.shape, data: (await twin.data()) as Float32Array },
      { tolerance: 1e-6 },
    );
  });

  it('does not build the concatenation', () => {
    const x = device.zeros([1, 64, 64, 16]);
    const weight = device.zeros([3, 3, 2, 16]);
    device.trim();
    device.resetPeak();
    const before = device.memory().peakBytes;
    const out = skipConv2d(x, x, weight, { padding: 1 });
    expect(device.memory().peakBytes - before).toBe(out.bytes);
  });
});

describe('what does not fit', () => {
  const x = () => device.zeros([1, 4, 4, 8]);

  it('is named with its operands', () => {
    const weight = device.zeros([3, 3, 16, 8]);
    expectError(() => conv2d(x(), weight), 'shape', /weight expects 16 input channels, got 8 .*\[1,4,4,8\]/);
    expectError(() => convTranspose2d(x(), weight), 'shape', 'weight expects 16 input channels, got 8');
    expectError(() => skipConv2d(x(), x(), weight), 'shape', '[kh,kw,2,8]');
    const small = device.zeros([3, 3, 8, 8]);
    expectError(() => conv2d(x(), small, { bias: device.zeros([4]) }), 'shape', '8 biases');
    expectError(() => conv2d(x(), device.zeros([5, 5, 8, 8])), 'shape', 'the output would be 0×0 pixels');
    expectError(
      () => conv2d(x(), device.zeros([1, 1, 2, 6]), { groups: 4 }),
      'shape',
      '4 groups do not divide 6',
    );
    expectError(() => conv2d(x(), small, { stride: 0 }), 'argument', 'stride ≥ 1');
    expectError(() => conv2d(x().reshape([4, 4, 8]), small), 'shape', '[b,h,w,c]');
  });
});
