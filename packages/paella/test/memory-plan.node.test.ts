import { type Device, type DeviceInfo, Device as Devices } from '@paella/tensor';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pipeline, openModel, planMemory } from '../src/index.js';
import { testDevice } from './helpers.js';
import { writeRelease } from './random-release.js';

let folder: string;
let device: Device;
beforeAll(async () => {
  device = await testDevice();
  folder = await mkdtemp(join(tmpdir(), 'paella-plan-'));
  await writeRelease(folder);
});
afterAll(() => rm(folder, { recursive: true }));

describe('the memory plan', () => {
  it.each([
    { model: 'default', lowMemory: false },
    { model: 'default', lowMemory: true },
    { model: 'released', lowMemory: false },
    { model: 'released', lowMemory: true },
  ])('is what a picture then takes: $model, low memory $lowMemory', async ({ model, lowMemory }) => {
    const where = model === 'default' ? model : folder;
    const options = { size: [64, 64], count: 2 } as const;
    const plan = await planMemory(await openModel(where), {
      ...options,
      adapter: device.info,
      promptTokens: 4,
    });
    const fresh = await Devices.create({ tuned: false });
    const pipeline = await Pipeline.load(where, { device: fresh, lowMemory });
    await pipeline.generate('abc', { ...options, seed: 1, negative: '', steps: 2 });
    const { peakBytes } = fresh.memory();
    const planned = lowMemory ? plan.peak.lowMemory : plan.peak.resident;
    console.log(`${model}: ${planned} bytes planned, ${peakBytes} taken`);
    expect(planned / peakBytes).toBeGreaterThan(0.97);
    expect(planned / peakBytes).toBeLessThan(1.03);
    pipeline.dispose();
    fresh.destroy();
  });

  it('counts what is read of the files, and says what weights become on the device', async () => {
    const model = await openModel(folder);
    const size: [number, number] = [64, 64];
    const f32 = await planMemory(model, { adapter: device.info, size, dtype: 'f32' });
    const f16 = await planMemory(model, { adapter: device.info, size, dtype: 'f16' });
    expect(f32.parts.map(({ part }) => part)).toEqual([
      'unet',
      'vqgan',
      'text_encoder',
      'clip_text',
      'prior',
    ]);
    const text = f32.parts.find(({ part }) => part === 'text_encoder')!;
    // Stored as f16, of which the decoder's tensor is not read.
    expect(text.diskBytes).toBe(2 * text.parameters);
    expect(text.deviceBytes).toBe(4 * text.parameters);
    expect(f16.parts[0].deviceBytes).toBeLessThan(f32.parts[0].deviceBytes);
    expect(f16.parts[0].diskBytes).toBe(f32.parts[0].diskBytes);
    expect(f32.peak.lowMemory).toBeLessThan(f32.peak.resident);
    expect(f32.stages.map(({ stage }) => stage)).toEqual([
      'reading the prompt',
      'reading it with CLIP',
      'imagining a picture',
      'drawing',
      'decoding',
    ]);
  });

  it('names what an adapter cannot hold', async () => {
    const limits = { ...device.info.limits, maxStorageBufferBindingSize: 100_000 };
    const adapter: DeviceInfo = { ...device.info, limits };
    const { stages, allowedBuffer } = await planMemory(await openModel(folder), {
      adapter,
      size: [512, 512],
    });
    expect(allowedBuffer).toBe(100_000);
    expect(stages.find(({ stage }) => stage === 'drawing')?.problem).toMatch(/needs .* MiB, .* allows/);
    expect(stages.find(({ stage }) => stage === 'reading the prompt')?.problem).toBeUndefined();
  });
});
