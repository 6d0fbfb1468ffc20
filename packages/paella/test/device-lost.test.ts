import { Device } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import { Pipeline, openModel } from '../src/index.js';

const lost = { name: 'PaellaError', code: 'device-lost' };
const options = { seed: 6, steps: 3 };

describe('a pipeline whose device is lost', () => {
  it('fails in the middle of a picture, and draws the same one on a new device', async () => {
    const model = await openModel('default');
    const first = await Device.create();
    const pipeline = await Pipeline.load(model, { device: first });
    const { tokens } = await pipeline.generate('car', options);
    const steps: number[] = [];
    const broken = pipeline.generate('car', {
      ...options,
      onStep: ({ step }) => {
        steps.push(step);
        if (step === 1) first.destroy();
      },
    });
    await expect(broken).rejects.toMatchObject(lost);
    expect(steps).toEqual([0, 1]);
    await expect(pipeline.generate('car', options)).rejects.toMatchObject(lost);
    pipeline.dispose();

    using second = await Device.create();
    using again = await Pipeline.load(model, { device: second });
    expect((await again.generate('car', options)).tokens).toEqual(tokens);
  });

  it('fails while it loads', async () => {
    const device = await Device.create();
    const loading = Pipeline.load('default', {
      device,
      onProgress: ({ part, done }) => {
        if (part === 'unet' && done === 20) device.destroy();
      },
    });
    await expect(loading).rejects.toMatchObject(lost);
    await expect(Pipeline.load('default', { device })).rejects.toMatchObject(lost);
  });
});
