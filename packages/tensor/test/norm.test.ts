import type { TeamForce } from '@paella/kernels';
import { describe, expect, it } from 'vitest';
import {
  batchNorm,
  globalResponseNorm,
  instanceNorm,
  layerNorm,
  modulate,
  rmsNorm,
} from '../src/ops/index.js';
import type { Tensor } from '../src/tensor.js';
import {
  NCHW_TO_NHWC,
  type Values,
  expectClose,
  expectError,
  golden,
  noise,
  permuted,
  teamForces,
  testDevice,
  upload,
} from './helpers.js';

/** Samples × positions × channels: odd and even, one position, one channel, several chunks. */
const SHAPES: [number, number, number][] = [
  [2, 1, 1],
  [1, 1, 4],
  [3, 5, 7],
  [2, 35, 20],
  [1, 901, 3],
  [2, 1030, 12],
  [5, 9, 260],
];

/** Applies `fn` to float64 copies of x, with a way to read and write by sample, position and channel. */
function perChannel(
  values: Values,
  fn: (x: (p: number, c: number) => number, b: number) => (p: number, c: number) => number,
): Values {
  const [samples, positions, channels] = values.shape;
  const out = new Float64Array(values.data.length);
  for (let b = 0; b < samples; b++) {
    const index = (p: number, c: number) => (b * positions + p) * channels + c;
    const y = fn((p, c) => values.data[index(p, c)], b);
    for (let p = 0; p < positions; p++) for (let c = 0; c < channels; c++) out[index(p, c)] = y(p, c);
  }
  return { shape: values.shape, data: out };
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values: number[]) => mean(values.map((value) => (value - mean(values)) ** 2));

/** Runs one op in every variant against one reference. */
async function check(want: Values, run: (force?: TeamForce) => Tensor): Promise<void> {
  for (const force of teamForces(await testDevice())) {
    using out = run(force);
    await expectClose(out, want, { tolerance: 1e-5 });
  }
}

describe('norms against PyTorch', () => {
  it('layer_norm_noaffine', async (context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    using x = upload(device, file.get('layer_norm_noaffine/input'));
    using out = layerNorm(x, { eps: 1e-6 });
    await expectClose(out, file.get('layer_norm_noaffine/output'), { context });
  });

  it('layer_norm_affine', async (context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    const [x, weight, bias] = ['input', 'weight', 'bias'].map((name) =>
      upload(device, file.get(`layer_norm_affine/${name}`)),
    );
    using out = layerNorm(x, { weight, bias });
    await expectClose(out, file.get('layer_norm_affine/output'), { context });
  });

  it('rms_norm', async (context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    using out = rmsNorm(
      upload(device, file.get('rms_norm/input')),
      upload(device, file.get('rms_norm/weight')),
    );
    await expectClose(out, file.get('rms_norm/output'), { context });
  });

  it('global_response_norm_nhwc', async (context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    const [x, gamma, beta] = ['input', 'gamma', 'beta'].map((name) =>
      upload(device, file.get(`global_response_norm_nhwc/${name}`)),
    );
    device.resetStats();
    using out = globalResponseNorm(x, gamma, beta);
    expect(device.stats().dispatches).toBe(3);
    await expectClose(out, file.get('global_response_norm_nhwc/output'), { context });
  });

  it('instance_norm', async (context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    using out = instanceNorm(upload(device, permuted(file.get('instance_norm/input'), NCHW_TO_NHWC)));
    await expectClose(out, permuted(file.get('instance_norm/output'), NCHW_TO_NHWC), { context });
  });

  it('batch_norm_train, with statistics from reductions', async (context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    using x = upload(device, permuted(file.get('batch_norm_train/input'), NCHW_TO_NHWC));
    const average = x.mean([0, 1, 2]);
    using out = batchNorm(x, {
      mean: average,
      variance: x.sub(average).square().mean([0, 1, 2]),
      weight: upload(device, file.get('batch_norm_train/weight')),
      bias: upload(device, file.get('batch_norm_train/bias')),
    });
    await expectClose(out, permuted(file.get('batch_norm_train/output'), NCHW_TO_NHWC), { context });
  });
});

describe.each(SHAPES)('norms of [%i,%i,%i] against float64', (samples, positions, channels) => {
  const shape = [samples, positions, channels];
  const values = noise(shape, 11, 3);
  const w = noise([channels], 12);
  const b = noise([channels], 13);

  it('layerNorm and rmsNorm, with vectors, single numbers and nothing', async () => {
    const device = await testDevice();
    const [x, weight, bias] = [values, w, b].map((v) => upload(device, v));
    const [oneWeight, oneBias] = [device.tensor([1.3]), device.tensor([-0.2])];
    const layer = (scale: (c: number) => number, shift: (c: number) => number) =>
      perChannel(values, (at) => {
        const stats = range(positions).map((p) => {
          const row = range(channels).map((c) => at(p, c));
          return { m: mean(row), v: variance(row) };
        });
        return (p, c) => ((at(p, c) - stats[p].m) / Math.sqrt(stats[p].v + 1e-3)) * scale(c) + shift(c);
      });
    const eps = 1e-3;
    await check(
      layer(
        () => 1,
        () => 0,
      ),
      (force) => layerNorm(x, { eps, force }),
    );
    await check(
      layer(
        (c) => w.data[c],
        (c) => b.data[c],
      ),
      (force) => layerNorm(x, { weight, bias, eps, force }),
    );
    await check(
      layer(
        () => 1.3,
        () => -0.2,
      ),
      (force) => layerNorm(x, { weight: oneWeight, bias: oneBias, eps, force }),
    );
    const rms = perChannel(values, (at) => {
      const scale = range(positions).map((p) =>
        Math.sqrt(mean(range(channels).map((c) => at(p, c) ** 2)) + eps),
      );
      return (p, c) => (at(p, c) / scale[p]) * w.data[c];
    });
    await check(rms, (force) => rmsNorm(x, weight, eps, { force }));
  });

  it('batchNorm and instanceNorm', async () => {
    const device = await testDevice();
    const spread = noise([channels], 14).data.map((value) => 1 + value * value);
    const [x, weight, bias] = [values, w, b].map((v) => upload(device, v));
    const statistics = { mean: bias, variance: device.tensor(spread) };
    const batch = perChannel(
      values,
      (at) => (p, c) => ((at(p, c) - b.data[c]) / Math.sqrt(spread[c] + 1e-5)) * w.data[c] + b.data[c],
    );
    await check(batch, (force) => batchNorm(x, { ...statistics, weight, bias, force }));
    const instance = perChannel(values, (at) => {
      const stats = range(channels).map((c) => {
        const column = range(positions).map((p) => at(p, c));
        return { m: mean(column), v: variance(column) };
      });
      return (p, c) => (at(p, c) - stats[c].m) / Math.sqrt(stats[c].v + 1e-3);
    });
    await check(instance, (force) => instanceNorm(x, { eps: 1e-3, force }));
  });

  it('globalResponseNorm and modulate', async () => {
    const device = await testDevice();
    const [x, gamma, beta] = [values, w, b].map((v) => upload(device, v));
    const response = perChannel(values, (at) => {
      const g = range(channels).map((c) =>
        Math.sqrt(range(positions).reduce((sum, p) => sum + at(p, c) ** 2, 0)),
      );
      const average = mean(g) + 1e-6;
      return (p, c) => w.data[c] * at(p, c) * (g[c] / average) + b.data[c] + at(p, c);
    });
    await check(response, (force) => globalResponseNorm(x, gamma, beta, 1e-6, { force }));
    for (const rows of new Set([samples, 1])) {
      const m = noise([rows, 2 * channels], 15);
      using scaleShift = upload(device, m);
      const modulated = perChannel(values, (at, sample) => {
        const base = (rows === 1 ? 0 : sample) * 2 * channels;
        return (p, c) => at(p, c) * (1 + m.data[base + c]) + m.data[base + channels + c];
      });
      await check(modulated, (force) => modulate(x, scaleShift, { force }));
    }
  });
});

describe('norms', () => {
  it('keep their digits when the mean is large', async () => {
    const device = await testDevice();
    const values = noise([2, 300, 8], 1);
    const shifted = {
      shape: values.shape,
      data: values.data.map((value) => Math.round(value * 64) / 64 + 4096),
    };
    const exact = { shape: values.shape, data: Float64Array.from(shifted.data, (value) => value - 4096) };
    using x = upload(device, shifted);
    using plain = upload(device, exact);
    using layer = layerNorm(plain);
    await check({ shape: values.shape, data: (await layer.data()) as Float32Array }, (force) =>
      layerNorm(x, { force }),
    );
    using instance = instanceNorm(plain);
    const want = { shape: values.shape, data: (await instance.data()) as Float32Array };
    for (const force of teamForces(device)) {
      using out = instanceNorm(x, { force });
      // The mean itself is rounded to 2⁻¹¹.
      await expectClose(out, want, { tolerance: 1e-3 });
    }
  });

  it('say which operand does not fit', async () => {
    const device = await testDevice();
    using x = device.zeros([1, 4, 4, 6]);
    using five = device.zeros([5]);
    expectError(
      () => layerNorm(x, { weight: five }),
      'shape',
      /layerNorm: expects weight and bias of 6.*weight \[5\]/,
    );
    expectError(() => rmsNorm(x, five), 'shape', 'rmsNorm');
    expectError(
      () => batchNorm(x, { mean: five, variance: five }),
      'shape',
      /batchNorm.*6 elements.*mean \[5\]/,
    );
    expectError(() => globalResponseNorm(x, five, five), 'shape', /globalResponseNorm.*gamma \[5\]/);
    expectError(() => modulate(x, five), 'shape', /modulate: expects scaleShift \[1,12\].*scaleShift \[5\]/);
  });
});
