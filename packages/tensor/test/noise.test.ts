import { describe, expect, it } from 'vitest';
import { Device } from '../src/device/device.js';
import type { TensorData } from '../src/dtype.js';
import { replaceTokens } from '../src/ops/noise.js';
import { where } from '../src/ops/where.js';
import { Rng } from '../src/random/rng.js';
import { expectError, testDevice } from './helpers.js';

/** Tokens that are even and replacements that are odd, so that every origin shows. */
function operands(device: Device, shape: number[]) {
  const size = shape.reduce((product, length) => product * length, 1);
  return {
    tokens: device.tensor(
      Uint32Array.from({ length: size }, (_, i) => 2 * i),
      shape,
    ),
    replacement: device.tensor(
      Uint32Array.from({ length: size }, (_, i) => 2 * i + 1),
      shape,
    ),
  };
}

describe('replaceTokens', () => {
  it('replaces nothing at t = 0 and everything at t = 1', async () => {
    const device = await testDevice();
    const { tokens, replacement } = operands(device, [3, 113, 97]);
    const rng = new Rng(4);
    const none = replaceTokens(tokens, replacement, 0, rng);
    expect(await none.tokens.data()).toEqual(await tokens.data());
    expect((await none.mask.data()).every((x) => x === 0)).toBe(true);
    const all = replaceTokens(tokens, replacement, 1, rng);
    expect(await all.tokens.data()).toEqual(await replacement.data());
    expect((await all.mask.data()).every((x) => x === 1)).toBe(true);
  });

  it('replaces where the stream says so, with t for every sample', async () => {
    const device = await testDevice();
    for (const shape of [[1, 1], [3, 5], [5, 3, 7], [4], [2, 64, 64]]) {
      const { tokens, replacement } = operands(device, shape);
      const t = Float32Array.from({ length: shape[0] }, (_, i) => (i + 0.5) / shape[0]);
      const out = replaceTokens(tokens, replacement, device.tensor(t), new Rng(6, 2));
      const drawn = new Rng(6, 2).uniformArray(tokens.size);
      const sampleSize = tokens.size / shape[0];
      const mask = Uint32Array.from(drawn, (u, i) => Number(u + 2 ** -24 <= t[Math.floor(i / sampleSize)]));
      expect(out.tokens.shape).toEqual(shape);
      expect(await out.mask.data()).toEqual(mask);
      expect(await out.tokens.data()).toEqual(mask.map((chosen, i) => 2 * i + chosen));
    }
  });

  it('replaces the same of an entry in whatever batch it is', async () => {
    const device = await testDevice();
    for (const shape of [[5, 8], [5, 3, 3], [5]]) {
      const { tokens, replacement } = operands(device, shape);
      for (const each of [0.4, device.tensor([0.1, 0.3, 0.5, 0.7, 0.9])]) {
        const part = (from: number, to: number): Promise<TensorData> => {
          const t = typeof each === 'number' ? each : each.slice(0, from, to);
          const [some, others] = [tokens.slice(0, from, to), replacement.slice(0, from, to)];
          return replaceTokens(some, others, t, new Rng(3, 1).forEntries(10 + from)).mask.data();
        };
        const all = await part(0, 5);
        expect([...(await part(0, 2)), ...(await part(2, 5))]).toEqual([...all]);
      }
    }
  });

  it('replaces the expected share', async () => {
    const device = await testDevice();
    const { tokens, replacement } = operands(device, [100_000]);
    const mask = await replaceTokens(tokens, replacement, 0.3, new Rng(8)).mask.data();
    const share = Array.from(mask).reduce((sum, x) => sum + x, 0) / mask.length;
    // Four standard errors.
    expect(Math.abs(share - 0.3)).toBeLessThan(0.006);
  });

  it('is one kernel, and one pipeline for all t', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const { tokens, replacement } = operands(device, [2, 8]);
    for (const t of [0.1, 0.2]) replaceTokens(tokens, replacement, t, new Rng(1));
    expect(device.stats()).toMatchObject({ dispatches: 2, pipelines: 1 });
  });

  it('names operands that do not fit', async () => {
    const device = await testDevice();
    const { tokens, replacement } = operands(device, [2, 8]);
    const rng = new Rng(1);
    expectError(
      () => replaceTokens(tokens, replacement.reshape([4, 4]), 0.5, rng),
      'shape',
      'replacement [4,4]',
    );
    expectError(() => replaceTokens(tokens, replacement, device.tensor([1, 1, 1]), rng), 'shape', 't [3]');
    expectError(() => replaceTokens(tokens, device.tensor(new Float32Array(16)), 0.5, rng), 'dtype', 'u32');
    expect(rng.counter).toBe(0);
  });
});

describe('where', () => {
  it('takes one or the other, whatever the size', async () => {
    const device = await testDevice();
    for (const shape of [[1], [3, 5], [2, 8, 8], [4096, 5]]) {
      const { tokens, replacement } = operands(device, shape);
      const condition = new Rng(2).randint(device, 0, 2, shape);
      const chosen = await condition.data();
      expect(await where(condition, replacement, tokens).data()).toEqual(
        Uint32Array.from(chosen, (one, i) => 2 * i + one),
      );
    }
  });

  it('names operands that do not fit', async () => {
    const device = await testDevice();
    const { tokens, replacement } = operands(device, [2, 8]);
    expectError(() => where(tokens, replacement.reshape([16]), tokens), 'shape', 'x [16]');
    expectError(() => where(device.ones([2, 8]), replacement, tokens), 'dtype', 'u32');
  });
});
