import { describe, expect, it } from 'vitest';
import { type Tensor, ops, scope } from '../src/index.js';
import type { Conv2dOptions } from '../src/ops/conv.js';
import { gradcheck } from './gradcheck.js';
import {
  IOHW_TO_HWIO,
  NCHW_TO_NHWC,
  OIHW_TO_HWIO,
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
const tolerance = 2e-6;

const leaf = (values: Values): Tensor => leafOf(device, values);

describe('gradients of convolutions', () => {
  const options: Record<string, Conv2dOptions> = {
    conv2d_1x1: {},
    conv2d_3x3_p1: { padding: 1 },
    conv2d_3x3_s2_p1: { stride: 2, padding: 1 },
    conv2d_2x2_s2: { stride: 2 },
    conv2d_4x4_s2_p1: { stride: 2, padding: 1 },
    conv2d_14x14_s14_nobias: { stride: 14 },
    depthwise_3x3_p1: { padding: 1, groups: 16 },
    depthwise_5x5_p2: { padding: 2, groups: 8 },
    depthwise_3x3_replicate: { padding: 1, groups: 8, paddingMode: 'replicate' },
    grouped_skip_3x3_p1: { padding: 1 },
    conv_transpose2d_2x2_s2: { stride: 2 },
    conv_transpose2d_4x4_s2_p1: { stride: 2, padding: 1 },
  };
  it.each(
    Object.entries(options).flatMap(([name, one]) => [
      [name, undefined, one] as const,
      [name, 'naive', one] as const,
    ]),
  )('%s equal PyTorch (%s)', async (name, force, one) => {
    await scope(async () => {
      const transposed = name.startsWith('conv_transpose');
      const layouts: Record<string, number[]> = {
        input: NCHW_TO_NHWC,
        skip: NCHW_TO_NHWC,
        output: NCHW_TO_NHWC,
        weight: transposed ? IOHW_TO_HWIO : OIHW_TO_HWIO,
        bias: [0],
      };
      const get = (kind: string, prefix = ''): Values =>
        permuted(cases.get(`${name}/${prefix}${kind}`), layouts[kind]);
      const kinds = ['input', 'skip', 'weight', 'bias'].filter((kind) => cases.has(`${name}/${kind}`));
      const given = Object.fromEntries(kinds.map((kind) => [kind, leaf(get(kind))]));
      const { input, skip, weight, bias } = given;
      const out = transposed
        ? ops.convTranspose2d(input, weight, { bias, ...one, force })
        : skip
          ? ops.skipConv2d(input, skip, weight, { bias, padding: 1, force })
          : ops.conv2d(input, weight, { bias, ...one, force });
      out.backward(upload(device, get('output', 'grad_')));
      for (const kind of kinds) await expectClose(given[kind].grad!, get(kind, 'grad_'), { tolerance });
    });
  });

  it.each([
    ['pixel_unshuffle', ops.pixelUnshuffle],
    ['pixel_shuffle', ops.pixelShuffle],
  ] as const)('%s equals PyTorch', async (name, fn) => {
    await scope(async () => {
      const nhwc = (key: string): Values => permuted(cases.get(`${name}/${key}`), NCHW_TO_NHWC);
      const x = leaf(nhwc('input'));
      fn(x, 2).backward(upload(device, nhwc('grad_output')));
      await expectClose(x.grad!, nhwc('grad_input'), { tolerance });
    });
  });

  it.each<[string, (x: Tensor, weight: Tensor, bias: Tensor) => Tensor, number[], number[]]>([
    [
      'a remainder of the stride',
      (x, w, b) => ops.conv2d(x, w, { bias: b, stride: 2 }),
      [2, 6, 5, 4],
      [3, 3, 4, 8],
    ],
    ['odd channels', (x, w, b) => ops.conv2d(x, w, { bias: b, padding: 1 }), [1, 4, 3, 3], [3, 3, 3, 5]],
    ['groups', (x, w, b) => ops.conv2d(x, w, { bias: b, groups: 2, stride: 2 }), [1, 5, 4, 4], [2, 2, 2, 6]],
    [
      'replicated edges',
      (x, w, b) => ops.conv2d(x, w, { bias: b, padding: 2, paddingMode: 'replicate' }),
      [1, 3, 4, 4],
      [3, 3, 4, 4],
    ],
    [
      'replicated edges of odd channels',
      (x, w, b) => ops.conv2d(x, w, { bias: b, padding: 2, paddingMode: 'replicate', stride: 2 }),
      [1, 1, 4, 3],
      [3, 3, 3, 2],
    ],
    [
      'a kernel that is no square',
      (x, w, b) => ops.conv2d(x, w, { bias: b, groups: 4 }),
      [1, 4, 5, 4],
      [2, 3, 1, 4],
    ],
    [
      'transposed, odd',
      (x, w, b) => ops.convTranspose2d(x, w, { bias: b, stride: 3 }),
      [1, 2, 3, 3],
      [2, 2, 3, 5],
    ],
  ])('%s: equal finite differences', async (_, fn, x, weight) => {
    await gradcheck(device, fn, [noise(x, 1), noise(weight, 2), noise([weight[3]], 3)]);
  });

  it.each([undefined, 'naive'] as const)('of no images are zero (%s)', async (force) => {
    await scope(async () => {
      const none = leaf({ shape: [0, 4, 4, 8], data: new Float32Array() });
      const results: [number[], (weight: Tensor, bias: Tensor) => Tensor][] = [
        [[3, 3, 8, 8], (weight, bias) => ops.conv2d(none, weight, { bias, force })],
        [[1, 1, 8, 8], (weight, bias) => ops.conv2d(none, weight, { bias, force })],
        [[3, 3, 1, 8], (weight, bias) => ops.conv2d(none, weight, { bias, groups: 8, force })],
        [[3, 3, 2, 8], (weight, bias) => ops.skipConv2d(none, none, weight, { bias, force })],
        [[2, 2, 8, 8], (weight, bias) => ops.convTranspose2d(none, weight, { bias, stride: 2, force })],
      ];
      for (const [shape, fn] of results) {
        const [weight, bias] = [leaf(noise(shape, 1)), leaf(noise([1, 8], 2))];
        const out = fn(weight, bias);
        out.backward(upload(device, { shape: out.shape, data: new Float32Array() }));
        for (const { grad } of [weight, bias]) {
          expect((await grad!.data()).every((one) => one === 0)).toBe(true);
        }
        expect(none.grad!.shape).toEqual(none.shape);
      }
    });
  });

  it('come from kernels that agree with their naive twins where sums are cut into chunks', async () => {
    const run = async (
      fn: (x: Tensor, weight: Tensor) => Tensor,
      shapes: number[][],
    ): Promise<Float32Array[]> =>
      scope(async () => {
        const inputs = shapes.map((shape, i) => leaf(noise(shape, i + 1)));
        const out = fn(inputs[0], inputs[1]);
        out.backward(upload(device, noise(out.shape, 9)));
        return Promise.all(inputs.map(async ({ grad }) => (await grad!.data()) as Float32Array));
      });
    const compare = async (
      fn: (force?: 'naive') => (x: Tensor, weight: Tensor) => Tensor,
      shapes: number[][],
    ) => {
      const [fast, naive] = [await run(fn(), shapes), await run(fn('naive'), shapes)];
      fast.forEach((gradient, i) => expect(relativeError(gradient, naive[i])).toBeLessThan(2e-6));
    };
    await compare(
      (force) => (x, w) => ops.conv2d(x, w, { padding: 1, force }),
      [
        [2, 17, 19, 12],
        [3, 3, 12, 4],
      ],
    );
    await compare(
      (force) => (x, w) => ops.conv2d(x, w, { padding: 1, groups: 12, force }),
      [
        [3, 17, 19, 12],
        [3, 3, 1, 12],
      ],
    );
    await compare(
      (force) => (x, w) => ops.skipConv2d(x, x.mul(2), w, { padding: 1, force }),
      [
        [2, 17, 19, 24],
        [3, 3, 2, 24],
      ],
    );
    await compare(
      (force) => (x, w) => ops.convTranspose2d(x, w, { stride: 2, padding: 1, force }),
      [
        [2, 11, 13, 20],
        [4, 4, 20, 8],
      ],
    );
  });
});
