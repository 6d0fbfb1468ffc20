import type { TeamForce } from '@paella/kernels';
import { describe, expect, it } from 'vitest';
import { type Tensor, nn, ops, scope } from '../src/index.js';
import { gradcheck } from './gradcheck.js';
import {
  NCHW_TO_NHWC,
  type Values,
  expectClose,
  golden,
  leafOf,
  noise,
  permuted,
  relativeError,
  teamForces,
  testDevice,
  upload,
} from './helpers.js';

const device = await testDevice();
const cases = await golden('ops');
const tolerance = 2e-6;

const leaf = (values: Values): Tensor => leafOf(device, values);
const nhwc = (name: string): Values => permuted(cases.get(name), NCHW_TO_NHWC);

describe('gradients of norms', () => {
  it('layer_norm_affine, layer_norm_noaffine and rms_norm equal PyTorch', async (context) => {
    await scope(async () => {
      const check = async (
        name: string,
        fn: (x: Tensor, weight: Tensor, bias: Tensor) => Tensor,
      ): Promise<void> => {
        const keys = ['input', 'weight', 'bias'].filter((key) => cases.has(`${name}/${key}`));
        const inputs = keys.map((key) => leaf(cases.get(`${name}/${key}`)));
        fn(inputs[0], inputs[1], inputs[2]).backward(upload(device, cases.get(`${name}/grad_output`)));
        for (const [i, key] of keys.entries()) {
          await expectClose(inputs[i].grad!, cases.get(`${name}/grad_${key}`), { tolerance, context });
        }
      };
      await check('layer_norm_affine', (x, weight, bias) => ops.layerNorm(x, { weight, bias, eps: 1e-5 }));
      await check('layer_norm_noaffine', (x) => ops.layerNorm(x, { eps: 1e-6 }));
      await check('rms_norm', (x, weight) => ops.rmsNorm(x, weight, 1e-6));
    });
  });

  it('global_response_norm equals PyTorch', async (context) => {
    await scope(async () => {
      const get = (name: string): Values => cases.get(`global_response_norm_nhwc/${name}`);
      const [x, gamma, beta] = ['input', 'gamma', 'beta'].map((name) => leaf(get(name)));
      ops.globalResponseNorm(x, gamma, beta).backward(upload(device, get('grad_output')));
      await expectClose(x.grad!, get('grad_input'), { tolerance, context });
      await expectClose(gamma.grad!, get('grad_gamma'), { tolerance, context });
      await expectClose(beta.grad!, get('grad_beta'), { tolerance, context });
    });
  });

  it('instance_norm and batch_norm_train equal PyTorch', async (context) => {
    await scope(async () => {
      const x = leaf(nhwc('instance_norm/input'));
      ops.instanceNorm(x).backward(upload(device, nhwc('instance_norm/grad_output')));
      await expectClose(x.grad!, nhwc('instance_norm/grad_input'), { tolerance, context });

      const input = leaf(nhwc('batch_norm_train/input'));
      const [weight, bias] = ['weight', 'bias'].map((name) => leaf(cases.get(`batch_norm_train/${name}`)));
      const { out } = ops.batchNormTraining(input, { weight, bias });
      await expectClose(out, nhwc('batch_norm_train/output'), { tolerance, context });
      out.backward(upload(device, nhwc('batch_norm_train/grad_output')));
      await expectClose(input.grad!, nhwc('batch_norm_train/grad_input'), { tolerance, context });
      await expectClose(weight.grad!, cases.get('batch_norm_train/grad_weight'), { tolerance, context });
      await expectClose(bias.grad!, cases.get('batch_norm_train/grad_bias'), { tolerance, context });
    });
  });

  it.each<[string, (...inputs: Tensor[]) => Tensor, number[][]]>([
    ['layerNorm', (x, weight, bias) => ops.layerNorm(x, { weight, bias }), [[3, 8], [8], [8]]],
    [
      'layerNorm, odd, one weight',
      (x, weight, bias) => ops.layerNorm(x, { weight, bias }),
      [[2, 3, 7], [1], [1]],
    ],
    ['rmsNorm', (x, weight) => ops.rmsNorm(x, weight), [[4, 5], [5]]],
    ['globalResponseNorm', (x, g, b) => ops.globalResponseNorm(x, g, b), [[2, 3, 3, 4], [4], [1, 1, 1, 4]]],
    ['globalResponseNorm, odd', (x, g, b) => ops.globalResponseNorm(x, g, b), [[2, 5, 3], [3], [3]]],
    [
      'modulate',
      (x, scaleShift) => ops.modulate(x, scaleShift),
      [
        [2, 3, 2, 4],
        [2, 8],
      ],
    ],
    [
      'modulate, shared',
      (x, scaleShift) => ops.modulate(x, scaleShift),
      [
        [2, 5, 3],
        [1, 6],
      ],
    ],
    ['instanceNorm', (x) => ops.instanceNorm(x), [[2, 3, 3, 4]]],
    [
      'batchNormTraining',
      (x, weight, bias) => ops.batchNormTraining(x, { weight, bias }).out,
      [[2, 3, 3, 5], [5], [5]],
    ],
    [
      'batchNorm',
      (x, weight, bias) => {
        const mean = device.tensor([0.1, 0.2, 0.3]);
        const variance = device.tensor([1, 2, 0.5]);
        return ops.batchNorm(x, { mean, variance, weight, bias });
      },
      [[2, 4, 3], [3], [3]],
    ],
  ])('%s equals finite differences', async (_, fn, shapes) => {
    await gradcheck(
      device,
      fn,
      shapes.map((shape, i) => noise(shape, i + 1)),
      { eps: 5e-3 },
    );
  });

  it('come from kernels that agree with their twins', async () => {
    await scope(async () => {
      const run = async (force?: TeamForce): Promise<Float32Array[]> => {
        const x = leaf(noise([2, 33, 20], 1));
        const weights = [noise([20], 2), noise([20], 3), noise([20], 4), noise([20], 5)].map(leaf);
        const [a, b, c, d] = weights;
        const normed = ops.layerNorm(x, { weight: a, bias: b, force });
        const responded = ops.globalResponseNorm(normed, c, d, 1e-6, { force });
        const out = ops.modulate(responded, x.slice(1, 0, 2).reshape([2, 40]), { force });
        out.backward(upload(device, noise(out.shape, 6)));
        return Promise.all([x, ...weights].map(async (one) => (await one.grad!.data()) as Float32Array));
      };
      const naive = await run('naive');
      for (const force of teamForces(device)) {
        const fast = await run(force);
        fast.forEach((gradient, i) => expect(relativeError(gradient, naive[i])).toBeLessThan(2e-6));
      }
    });
  });

  it('global response norm has one where a channel is tiny', async () => {
    // Channel 1 is 1e-16 times what the other three are; dx by the formula, in float64.
    const x = Float32Array.from(noise([3, 4], 1).data, (v, i) => (i % 4 === 1 ? v * 1e-16 : v));
    const [gamma, upstream] = [noise([4], 2), noise([1, 3, 4], 3)];
    const over = (c: number, of: (i: number) => number): number => of(c) + of(c + 4) + of(c + 8);
    const channels = [0, 1, 2, 3];
    const g = channels.map((c) => Math.sqrt(over(c, (i) => x[i] ** 2)));
    const t = channels.map((c) => over(c, (i) => x[i] * upstream.data[i]));
    const mean = g.reduce((sum, one) => sum + one, 0) / 4 + 1e-6;
    const shared = channels.reduce((sum, c) => sum + gamma.data[c] * t[c] * g[c], 0) / 4 / mean ** 2;
    const expected = Array.from(x, (v, i) => {
      const c = i % 4;
      const direct = upstream.data[i] * (1 + (gamma.data[c] * g[c]) / mean);
      return direct + (v * ((gamma.data[c] * t[c]) / mean - shared)) / g[c];
    });
    await scope(async () => {
      const input = leaf({ shape: [1, 3, 4], data: x });
      ops.globalResponseNorm(input, leaf(gamma), leaf(noise([4], 4))).backward(upload(device, upstream));
      expect(relativeError(await input.grad!.data(), expected)).toBeLessThan(1e-6);
    });
  });

  it('global response norm has none where a channel is zero', async () => {
    await scope(async () => {
      const x = leaf({ shape: [1, 2, 4], data: Float32Array.of(0, 1, 2, 3, 0, -1, 1, 2) });
      const gamma = leaf(noise([4], 1));
      ops.globalResponseNorm(x, gamma, leaf(noise([4], 2))).backward(upload(device, noise([1, 2, 4], 3)));
      expect([...(await x.grad!.data())].every(Number.isFinite)).toBe(true);
      expect([...(await x.grad!.data())][0]).toBeCloseTo(noise([1, 2, 4], 3).data[0], 6);
    });
  });
});

describe('gradients over many positions', () => {
  it.each([
    { samples: 1, positions: 5000, channels: 3 },
    { samples: 3, positions: 1030, channels: 8 },
  ])(
    'equal float64, far from zero: $samples × $positions × $channels',
    async ({ samples, positions, channels }) => {
      const shape = [samples, positions, channels];
      const values = noise(shape, 1);
      const data = values.data.map((x) => x + 3);
      const upstream = noise(shape, 2);
      /** dx of a normalisation over `length` positions in a row. */
      const reference = (length: number): Float64Array => {
        const out = new Float64Array(data.length);
        for (let first = 0; first < data.length; first += length * channels) {
          for (let c = 0; c < channels; c++) {
            const at = Array.from({ length }, (_, p) => first + p * channels + c);
            const mean = (of: (i: number) => number): number =>
              at.reduce((sum, i) => sum + of(i), 0) / length;
            const center = mean((i) => data[i]);
            const factor = 1 / Math.sqrt(mean((i) => (data[i] - center) ** 2) + 1e-5);
            const plain = mean((i) => upstream.data[i]);
            const along = mean((i) => upstream.data[i] * (data[i] - center) * factor);
            for (const i of at) {
              out[i] = factor * (upstream.data[i] - plain - (data[i] - center) * factor * along);
            }
          }
        }
        return out;
      };
      await scope(async () => {
        const [x, y] = [leaf({ shape, data }), leaf({ shape, data })];
        ops.instanceNorm(x).backward(upload(device, upstream));
        ops.batchNormTraining(y).out.backward(upload(device, upstream));
        expect(relativeError(await x.grad!.data(), reference(positions))).toBeLessThan(1e-6);
        expect(relativeError(await y.grad!.data(), reference(samples * positions))).toBeLessThan(1e-6);
      });
    },
  );
});

describe('BatchNorm2d in training', () => {
  it('normalises by the batch and moves the running statistics as PyTorch does', async () => {
    await scope(async () => {
      const layer = new nn.BatchNorm2d(2, { device });
      layer.weight.load([1, 1]);
      layer.bias.load([0, 0]);
      layer.running_mean.load([0, 10]);
      layer.running_var.load([1, 2]);
      layer.num_batches_tracked.load([7]);
      layer.train();
      const out = layer.forward(device.tensor([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 2, 2]));
      const expected = [-1.5, -0.5, 0.5, 1.5].map((x) => x / Math.sqrt(1.25));
      expect(relativeError(await out.slice(3, 0, 1).data(), expected)).toBeLessThan(1e-4);
      // Means 4 and 5, population variance 5, sample variance 20/3.
      expect(relativeError(await layer.running_mean.save(), [0.4, 9.5])).toBeLessThan(1e-6);
      expect(relativeError(await layer.running_var.save(), [0.9 + 2 / 3, 1.8 + 2 / 3])).toBeLessThan(1e-6);
      expect((await layer.stateDict().get('num_batches_tracked')).data).toEqual(BigInt64Array.of(8n));
      layer.dispose();
    });
  });
});
