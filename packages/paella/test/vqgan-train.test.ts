import { Rng, nn, optim, scope } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import {
  Discriminator,
  VQModel,
  codeUsage,
  discriminatorGradients,
  ssim,
  vqganGradients,
  vqganStep,
} from '../src/index.js';
import { checkpoint, expectGolden, floats, imageInput, sub, testDevice } from './helpers.js';

describe('Discriminator', () => {
  it('equals PyTorch in evaluation mode', () =>
    scope(async () => {
      const device = await testDevice();
      const golden = await checkpoint('discriminator-tiny.golden.safetensors');
      const discriminator = new Discriminator({ c_in: 3, c_hidden: 32, depth: 4 }, { device });
      await discriminator.loadStateDict(sub(golden, 'state/'));
      await expectGolden(discriminator.forward(await imageInput(device, golden, 'image')), golden, 'output');
      discriminator.dispose();
    }));

  it('finds the largest singular value in training mode', () =>
    scope(async () => {
      const device = await testDevice();
      const discriminator = new Discriminator(
        { c_in: 3, c_hidden: 8, depth: 1 },
        { device, rng: new Rng(1) },
      );
      discriminator.train();
      const image = new Rng(2).uniform(device, [1, 8, 8, 3]);
      for (let i = 0; i < 40; i++) scope(() => void discriminator.logits(image));
      const state = discriminator.stateDict();
      const [weight, u, v] = await Promise.all(
        ['weight_orig', 'weight_u', 'weight_v'].map((name) => floats(state, `encoder.0.${name}`)),
      );
      const sigma = u.reduce(
        (sum, ui, i) => sum + ui * v.reduce((dot, vj, j) => dot + vj * weight[i * v.length + j], 0),
        0,
      );
      // At the fixed point W·v = σ·u.
      for (let i = 0; i < u.length; i++) {
        const row = v.reduce((dot, vj, j) => dot + vj * weight[i * v.length + j], 0);
        expect(row).toBeCloseTo(sigma * u[i], 4);
      }
      discriminator.dispose();
    }));
});

describe('vqganStep', () => {
  it('learns pictures, with and without an adversary, and leaves nothing behind', () =>
    scope(async () => {
      const device = await testDevice();
      const rng = new Rng(3);
      const config = {
        levels: 2,
        bottleneck_blocks: 1,
        c_hidden: 16,
        c_latent: 4,
        codebook_size: 32,
        scale_factor: 1,
      };
      const vq = new VQModel(config, { device, rng }).train();
      nn.init.uniform_(vq.vquantizer.codebook.weight, rng, 1);
      const optimizer = new optim.AdamW(
        vq.namedParameters().filter(([, { isBuffer }]) => !isBuffer),
        { lr: 3e-3 },
      );
      const discriminator = new Discriminator({ c_in: 3, c_hidden: 16, depth: 2 }, { device, rng }).train();
      const trained = discriminator.namedParameters().filter(([, { isBuffer }]) => !isBuffer);
      const adversary = { discriminator, optimizer: new optim.AdamW(trained, { lr: 1e-3 }) };
      const weights = { l1: 1, l2: 1, codebook: 1, commitment: 0.25, adversarial: 0.1 };
      const image = rng.uniform(device, [2, 16, 16, 3]);
      const run = async (withAdversary: boolean): Promise<number> =>
        scope(async () => {
          const training = { vq, optimizer, weights, gradClip: 1, ...(withAdversary && { adversary }) };
          const step = vqganStep(training, image);
          if (step.adversarial) {
            expect(await step.adversarial.weight.item()).toBeGreaterThan(0);
            expect(await step.adversarial.discriminator.item()).toBeLessThan(1.5);
          }
          expect(await step.gradNorm.item()).toBeGreaterThan(0);
          return step.reconstruction.item();
        });
      const first = await run(false);
      for (let i = 0; i < 25; i++) await run(false);
      await run(true);
      const before = device.memory();
      for (let i = 0; i < 5; i++) await run(true);
      expect(device.memory().liveBytes).toBe(before.liveBytes);
      expect(device.memory().liveTensors).toBe(before.liveTensors);
      expect(await run(true)).toBeLessThan(0.75 * first);
      for (const one of [optimizer, adversary.optimizer, vq, discriminator]) one.dispose();
    }));
});

describe('vqganGradients and discriminatorGradients', () => {
  it('divide by the batches that they are added up over, and leave the other network alone', () =>
    scope(async () => {
      const device = await testDevice();
      const rng = new Rng(3);
      const sizes = { levels: 2, bottleneck_blocks: 1, c_hidden: 16, c_latent: 4, codebook_size: 32 };
      const vq = new VQModel({ ...sizes, scale_factor: 1 }, { device, rng }).train();
      const discriminator = new Discriminator({ c_in: 3, c_hidden: 16, depth: 2 }, { device, rng });
      const weights = { l1: 1, l2: 1, codebook: 1, commitment: 0.25, adversarial: 0.1 };
      const real = rng.uniform(device, [2, 16, 16, 3]);
      const fake = rng.uniform(device, [2, 16, 16, 3]);
      const gradients = async (module: nn.Module): Promise<number[]> => {
        const all: number[] = [];
        for (const { value } of module.parameters()) {
          if (value.grad) all.push(...(await value.grad.data()));
          value.zeroGrad();
        }
        return all;
      };
      const halves = (some: readonly number[]): number[] => some.map((value) => value / 2);
      for (const [pass, taught, other] of [
        [
          (accumulate: number) => vqganGradients(vq, real, { weights, discriminator, accumulate }),
          vq,
          discriminator,
        ],
        [
          (accumulate: number) => discriminatorGradients(discriminator, { real, fake }, { accumulate }),
          discriminator,
          vq,
        ],
      ] as const) {
        scope(() => void pass(1));
        const once = await gradients(taught);
        scope(() => void pass(2));
        expect(await gradients(taught)).toEqual(halves(once));
        expect(once.some((value) => value !== 0)).toBe(true);
        expect(await gradients(other)).toEqual([]);
      }
      for (const one of [vq, discriminator]) one.dispose();
    }));
});

describe('measures', () => {
  it('codeUsage counts codes and how evenly they are used', () => {
    expect(codeUsage([1, 1, 1, 1])).toEqual({ used: 1, perplexity: expect.closeTo(4, 10) });
    expect(codeUsage([5, 0, 0, 0])).toEqual({ used: 0.25, perplexity: 1 });
  });

  it('ssim is 1 for equal pictures, falls with noise, and has the value of its formula on flat ones', () => {
    const flat = (value: number) => {
      const data = new Uint8ClampedArray(16 * 16 * 4).fill(value);
      return { width: 16, height: 16, data };
    };
    expect(ssim(flat(100), flat(100))).toBeCloseTo(1, 12);
    const c1 = (0.01 * 255) ** 2;
    expect(ssim(flat(100), flat(150))).toBeCloseTo((2 * 100 * 150 + c1) / (100 ** 2 + 150 ** 2 + c1), 9);
    const noisy = flat(100);
    noisy.data.forEach((_, i) => (noisy.data[i] += (i * 7919) % 60));
    expect(ssim(noisy, flat(110))).toBeLessThan(0.3);
  });
});
