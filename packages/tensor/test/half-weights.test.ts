import { describe, expect, it } from 'vitest';
import { Device, Rng, f16ToF32, f32ToF16, nn, ops, scope } from '../src/index.js';
import { noise, relativeError, testDevice } from './helpers.js';

/** What a value becomes when it is stored as f16. */
const rounded = (data: Float32Array): Float32Array => f16ToF32(f32ToF16(data));

describe('f16 storage', () => {
  it('rounds to the nearest f16 on the device, and widens exactly', async () => {
    const device = await testDevice();
    for (const length of [1, 2, 3, 5, 64, 1001]) {
      const data = Float32Array.from(noise([length], length, 40).data);
      using x = device.tensor(data);
      using half = x.to('f16');
      expect(half.bytes).toBe(2 * length);
      expect(await half.data()).toEqual(rounded(data));
      using back = half.to('f32');
      expect(await back.data()).toEqual(rounded(data));
    }
  });

  it('multiplies by f16 weights as by the rounded f32 ones', () =>
    scope(async () => {
      const device = await testDevice();
      for (const [m, k, n] of [
        [1, 4, 4],
        [9, 12, 20],
        [33, 64, 132],
      ]) {
        const x = device.tensor(Float32Array.from(noise([m, k], 1).data), [m, k]);
        const w = Float32Array.from(noise([k, n], 2).data);
        const bias = device.tensor(Float32Array.from(noise([n], 3).data));
        const half = device.tensor(w, [k, n], { dtype: 'f16' });
        const full = device.tensor(rounded(w), [k, n]);
        const options = { bias, activation: 'gelu' } as const;
        const want = await ops.linear(x, full, options).data();
        expect(relativeError(await ops.linear(x, half, options).data(), want)).toBeLessThan(1e-6);
        const rng = () => new Rng(7);
        const drawn = await ops.sampleLinear(x, half, { rng: rng() }).data();
        expect(drawn).toEqual(await ops.sampleLinear(x, full, { rng: rng() }).data());
      }
    }));

  it('halves the large matrices of a module, and gives them back in full', () =>
    scope(async () => {
      const device = await testDevice();
      const layer = new nn.Linear(64, 32, { device, rng: new Rng(1) });
      const pointwise = new nn.Conv2d(32, 8, 1, { device, rng: new Rng(2) });
      const dense = new nn.Conv2d(8, 8, 3, { device, rng: new Rng(3) });
      const weights = await layer.weight.save();
      for (const one of [layer, pointwise, dense]) one.to({ dtype: 'f16' });
      const stored = [layer, pointwise, dense].map(({ weight, bias }) => [weight.dtype, bias?.dtype]);
      expect(stored).toEqual([
        ['f16', 'f32'],
        ['f16', 'f32'],
        ['f32', 'f32'],
      ]);
      expect((await layer.stateDict().get('weight')).data).toEqual(rounded(weights as Float32Array));
      const image = new Rng(4).normal(device, [1, 2, 2, 64]);
      const out = pointwise.forward(layer.forward(image));
      for (const one of [layer, pointwise]) one.to({ dtype: 'f32' });
      const want = await pointwise.forward(layer.forward(image)).data();
      expect(relativeError(await out.data(), want)).toBeLessThan(1e-6);
      for (const one of [layer, pointwise, dense]) one.dispose();
    }));

  it('is refused where kernels read f32', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const half = device.empty([4, 6], 'f16');
    expect(() => half.add(1)).toThrow(/must be f32, got f16 \[4,6\]/);
    expect(() => half.transpose()).toThrow(/32 bits wide/);
    expect(() => ops.linear(device.empty([1, 4]), half)).toThrow(/f16 of whole vec4s/);
    expect(() => device.empty([4], 'u32').to('f16')).toThrow(/not u32 to f16/);
  });
});
