import { Rng, optim, scope } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import { Paella, type PaellaConfig, denoisingLoss, denoisingStep, optimizerStep } from '../src/index.js';
import { relativeError } from '../../tensor/test/helpers.js';
import { floats, testDevice } from './helpers.js';

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

  it('has the same gradient of a batch and its halves where draws are by entries', (context) =>
    scope(async () => {
      const device = await testDevice();
      const unet = new Paella(config, { device, rng: new Rng(2) }).train();
      // Layers that start at zero let nothing through.
      for (const [i, parameter] of unet.parameters().entries()) {
        const change = new Rng(3, i).normal(device, parameter.storedShape, { std: 0.1 });
        parameter.value = parameter.value.add(change);
      }
      const data = new Rng(4);
      const tokens = data.randint(device, 0, 16, [4, 6, 10]);
      const byt5 = data.normal(device, [4, 3, 8]);
      const lengths = [3, 3, 1, 2];
      const gradient = async (parts: number, rngFrom: (first: number) => Rng): Promise<number[]> => {
        for (let from = 0; from < 4; from += 4 / parts) {
          const to = from + 4 / parts;
          const cond = { byt5: byt5.slice(0, from, to), byt5Lengths: lengths.slice(from, to) };
          const rng = rngFrom(from);
          unet.dropout.rng = rng;
          denoisingStep(unet, { tokens: tokens.slice(0, from, to), cond }, { rng, accumulate: parts });
        }
        const state = await unet.gradDict();
        const values = await Promise.all(state.keys().map(async (key) => [...(await floats(state, key))]));
        unet.zeroGrad();
        return values.flat();
      };
      const byEntries = (first: number): Rng => new Rng(5).forEntries(first);
      const whole = await gradient(1, byEntries);
      const error = relativeError(await gradient(2, byEntries), whole);
      await context.annotate(`relative error ${error.toExponential(1)}`);
      expect(error).toBeLessThan(1e-5);
      // Halves that both begin at entry 0 have other noise and other dropout than the whole.
      expect(relativeError(await gradient(2, () => byEntries(0)), whole)).toBeGreaterThan(0.1);
      unet.dispose();
    }));
});
