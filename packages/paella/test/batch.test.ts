import { Device, Rng, noGrad, scope } from '@paella/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ModelCard, Paella, VQModel, openModelFolder, picturesPerPass, sample } from '../src/index.js';
import { plainAdapter } from './helpers.js';

let card: ModelCard;
beforeAll(async () => {
  ({ card } = await openModelFolder('default'));
});

/** The embedded model without weights, on an adapter of which only limits are known. */
async function on(maxBufferSize: number): Promise<{ unet: Paella; vqgan: VQModel }> {
  const info = plainAdapter({ buffer: maxBufferSize, binding: maxBufferSize });
  const device = await Device.create({ adapter: 'meta', like: info });
  const unet = new Paella(card.unet.config, { device }).requiresGrad_(false);
  const vqgan = new VQModel(card.vqgan.config, { device }).requiresGrad_(false);
  return { unet, vqgan };
}

/** Draws a batch as a pipeline does. */
async function draw({ unet, vqgan }: { unet: Paella; vqgan: VQModel }, count: number): Promise<void> {
  const { device } = unet;
  await scope(async () => {
    const cond = { byt5: device.empty([1, 8, unet.config.byt5_embd]) };
    const options = { shape: [count, 16, 16], rng: new Rng(1), uncond: cond, steps: 3 } as const;
    const tokens = await sample(unet, cond, options);
    noGrad(() => vqgan.decodeIndices(tokens));
  });
}

describe('picturesPerPass', () => {
  const options = { guided: true, conditionTokens: 8 };
  const grid = [16, 16] as const;

  it('takes all pictures where they fit, and otherwise as many as the largest buffer allows', async () => {
    const roomy = await on(1 << 30);
    expect(await picturesPerPass(roomy.unet, roomy.vqgan, grid, { ...options, count: 50 })).toBe(50);
    const tight = await on(16 << 20);
    const most = await picturesPerPass(tight.unet, tight.vqgan, grid, { ...options, count: 50 });
    expect(most).toBeGreaterThan(1);
    await draw(tight, most);
    await expect(draw(tight, most + 1)).rejects.toThrow(/allows 16 MiB a buffer/);
    // The U-Net runs once a condition; with few of them it is the VQGAN that needs the largest buffer.
    const regions = await picturesPerPass(tight.unet, tight.vqgan, grid, {
      ...options,
      count: 50,
      regions: 14,
    });
    expect(regions).toBeLessThan(most);
    const alone = { ...options, guided: false, count: 50 };
    expect(await picturesPerPass(tight.unet, tight.vqgan, grid, alone)).toBeGreaterThanOrEqual(most);
  });

  it('keeps within a budget of bytes', async () => {
    const { unet, vqgan } = await on(1 << 30);
    const { device } = unet;
    const budgetBytes = 40 << 20;
    const count = await picturesPerPass(unet, vqgan, grid, { ...options, count: 100, budgetBytes });
    expect(count).toBeGreaterThan(1);
    expect(count).toBeLessThan(100);
    const taken = async (pictures: number): Promise<number> => {
      device.trim();
      device.resetPeak();
      const weights = device.memory().liveBytes;
      await draw({ unet, vqgan }, pictures);
      return device.memory().peakBytes - weights;
    };
    // A generation holds some tokens more than a step, and its pool a few buffers.
    expect(await taken(count)).toBeLessThan(1.1 * budgetBytes);
    expect(await taken(count + 1)).toBeGreaterThan(0.9 * budgetBytes);
    // Not even one: the pass will say so.
    expect(await picturesPerPass(unet, vqgan, grid, { ...options, count: 9, budgetBytes: 1 })).toBe(1);
  });
});
