import { Rng, optim, scope } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import { Paella, type PaellaConfig, denoisingLoss, denoisingStep, optimizerStep } from '../src/index.js';
import { testDevice } from './helpers.js';

const config: PaellaConfig = {
  c_in: 8,
  c_out: 8,
  num_labels: 16,
  c_r: 8,
  patch_size: 2,
  c_cond: 8,
  c_hidden: [8],
  nhead: [2],
  blocks: [1],
  level_config: ['CTA'],
  clip_embd: 8,
  byt5_embd: 8,
  clip_seq_len: 1,
  kernel_size: 3,
  dropout: 0.1,
  self_attn: true,
};

describe('training', () => {
  it('begins at ln(labels), learns, and after 200 steps holds not a byte more than after the second', () =>
    scope(async () => {
      const device = await testDevice();
      const rng = new Rng(1);
      const unet = new Paella(config, { device, rng }).train();
      unet.dropout.rng = rng;
      const optimizer = new optim.AdamW(unet.namedParameters(), { lr: 3e-3 });
      const tokens = rng.randint(device, 0, 4, [4, 4, 4]);
      const byt5 = rng.normal(device, [4, 3, 8]);
      const losses: number[] = [];
      const step = (): Promise<void> =>
        scope(async () => {
          const cond = { byt5, byt5Lengths: [3, 1, 2, 3] };
          const { loss, t, crossEntropy, accuracy } = denoisingStep(unet, { tokens, cond }, { rng });
          const norm = optimizerStep(optimizer);
          losses.push(await loss.item());
          expect((await t.data()).every((level) => level > 0 && level <= 1)).toBe(true);
          expect(Number.isFinite(await norm.item())).toBe(true);
          expect(crossEntropy.shape).toEqual([4]);
          expect(accuracy.shape).toEqual([4]);
        });
      await step();
      expect(losses[0]).toBeCloseTo(Math.log(16), 5);
      await step();
      const { liveBytes, liveTensors } = device.memory();
      const buffers = device.stats().buffersCreated;
      for (let i = 2; i < 200; i++) await step();
      expect(device.memory()).toMatchObject({ liveBytes, liveTensors });
      // Lengths of sums and batches are the same, so the pool has had all it needs since the third step.
      expect(device.stats().buffersCreated - buffers).toBeLessThan(20);
      expect(Math.min(...losses.slice(-20))).toBeLessThan(0.75 * losses[0]);
      optimizer.dispose();
      unet.dispose();
    }));

  it('adds up to the gradient of the whole batch over its parts', () =>
    scope(async () => {
      const device = await testDevice();
      const unet = new Paella(config, { device, rng: new Rng(2) });
      // The last layers start at zero, and with them most gradients.
      unet.clf.get(1).weight.value = new Rng(3).normal(device, unet.clf.get(1).weight.storedShape, {
        std: 0.1,
      });
      const rng = new Rng(4);
      const target = rng.randint(device, 0, 16, [4, 4, 4]);
      const noised = rng.randint(device, 0, 16, [4, 4, 4]);
      const mask = rng.randint(device, 0, 2, [4, 4, 4]);
      const byt5 = rng.normal(device, [4, 3, 8]);
      const gradient = async (parts: number): Promise<Float32Array> => {
        for (let i = 0; i < parts; i++) {
          const size = 4 / parts;
          const [n, t, m, b] = [noised, target, mask, byt5].map((one) =>
            one.slice(0, i * size, (i + 1) * size),
          );
          denoisingLoss(unet, { noised: n, target: t, mask: m, r: 0.5, cond: { byt5: b } })
            .mul(1 / parts)
            .backward();
        }
        const { data } = await (await unet.gradDict()).get('embedding.1.weight');
        unet.zeroGrad();
        return data as Float32Array;
      };
      const [whole, halves] = [await gradient(1), await gradient(2)];
      const scale = Math.max(...whole.map(Math.abs));
      whole.forEach((value, i) => expect(Math.abs(value - halves[i])).toBeLessThan(1e-5 * scale));
      unet.dispose();
    }));
});
