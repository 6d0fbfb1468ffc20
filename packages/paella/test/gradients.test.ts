import { type Device, type PaellaError, type StateDict, type Tensor, optim, scope } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import {
  Paella,
  type PaellaConfig,
  VQModel,
  type VQModelConfig,
  denoisingLoss,
  denoisingTerms,
} from '../src/index.js';
import { expectError, pretendedGpu, relativeError } from '../../tensor/test/helpers.js';
import { checkpoint, expectGolden, floats, imageInput, input, json, testDevice } from './helpers.js';

/**
 * Expects every gradient of a golden file to 2e-4 relative. Where the reference is zero but for its rounding in
 * float64 (a bias before batch norm, say), ours must be zero but for its rounding in f32.
 */
async function expectGradients(actual: StateDict, golden: StateDict, prefix: string): Promise<void> {
  const keys = golden.keys().filter((key) => key.startsWith(prefix));
  const expected = await Promise.all(keys.map((key) => floats(golden, key)));
  const norms = expected.map((one) => Math.hypot(...one));
  const largest = Math.max(...norms);
  let worst = { error: 0, key: '' };
  for (const [i, key] of keys.entries()) {
    const ours = await floats(actual, key.slice(prefix.length));
    if (norms[i] < 1e-12 * largest) {
      expect(Math.hypot(...ours), key).toBeLessThan(1e-7 * largest);
      continue;
    }
    const error = relativeError(ours, expected[i]);
    if (error > worst.error) worst = { error, key };
    expect(error, key).toBeLessThan(2e-4);
  }
  console.log(`${keys.length} gradients, worst ${worst.error.toExponential(1)}: ${worst.key}`);
  expect(actual.keys().length).toBe(keys.length);
}

async function tinyPaella(device: Device): Promise<Paella> {
  const unet = new Paella(await json<PaellaConfig>('paella-tiny.json'), { device });
  await unet.loadStateDict(await checkpoint('paella-tiny.pt'));
  return unet;
}

async function goldenBatch(device: Device, golden: StateDict) {
  const names = ['tokens', 'target', 'mask', 'byt5', 'clip', 'clip_image'];
  const [noised, target, mask, byt5, clip, clipImage] = await Promise.all(
    names.map((name) => input(device, golden, name)),
  );
  return { noised, target, mask, r: await floats(golden, 'r'), cond: { byt5, clip, clipImage } };
}

describe('training gradients against PyTorch', () => {
  it.each([
    ['chosen here', testDevice],
    ['chosen for GPUs', pretendedGpu],
  ] as const)('of Paella, for every parameter, by kernels %s', async (_, open) => {
    const device = await open();
    await scope(async () => {
      const unet = await tinyPaella(device);
      const golden = await checkpoint('paella-tiny.golden.safetensors');
      const batch = await goldenBatch(device, golden);
      unet.genREmbedding([0]); // the table of frequencies stays
      const before = device.memory().liveTensors;
      scope(() => {
        const loss = denoisingLoss(unet, batch);
        loss.backward();
      });
      await expectGradients(await unet.gradDict(), golden, 'grad/');
      unet.zeroGrad();
      expect(device.memory().liveTensors).toBe(before);
      const { loss, rows, correct } = denoisingTerms(unet, batch);
      await expectGolden(loss.reshape([1]), golden, 'loss');
      expect(rows.shape).toEqual(batch.target.shape);
      expect((await correct.data()).every((x) => x === 0 || x === 1)).toBe(true);
      unet.dispose();
    });
    if (open === pretendedGpu) device.destroy();
  });

  it('of the VQGAN in training mode, for every parameter, with its running statistics', () =>
    scope(async () => {
      const device = await testDevice();
      const vq = new VQModel(await json<VQModelConfig>('vqmodel-tiny.json'), { device });
      await vq.loadStateDict(await checkpoint('vqmodel-tiny.pt'));
      const golden = await checkpoint('vqmodel-tiny.golden.safetensors');
      const image = await imageInput(device, golden, 'image');
      vq.train();
      const { quantized, indices, loss: vqLoss } = vq.encode(image);
      const reconstruction = vq.decode(quantized);
      const loss = reconstruction.sub(image).square().mean().add(vqLoss);
      loss.backward();
      expect([...(await indices.data())]).toEqual([...(await floats(golden, 'train_indices'))]);
      await expectGolden(reconstruction, golden, 'train_reconstruction');
      await expectGolden(loss.reshape([1]), golden, 'train_loss');
      await expectGradients(await vq.gradDict(), golden, 'train_grad/');
      const state = vq.stateDict();
      for (const name of ['running_mean', 'running_var']) {
        const key = `down_blocks.3.1.${name}`;
        const ours = await floats(state, key);
        expect(relativeError(ours, await floats(golden, `train_buffer/${key}`))).toBeLessThan(1e-5);
      }
      vq.dispose();
    }));
});

describe('denoisingLoss', () => {
  it('takes noise levels in any form, and is 0 where nothing counts', () =>
    scope(async () => {
      const device = await testDevice();
      const unet = await tinyPaella(device);
      const batch = await goldenBatch(device, await checkpoint('paella-tiny.golden.safetensors'));
      const lossOf = async (r: typeof batch.r | number | Tensor): Promise<number> =>
        denoisingLoss(unet, { ...batch, r }).item();
      expect(await lossOf(0.5)).toBe(await lossOf(Float32Array.of(0.5, 0.5)));
      expect(await lossOf(device.tensor(batch.r))).toBe(await lossOf(batch.r));
      const clean = { ...batch, r: 0, mask: device.zeros(batch.mask.shape, { dtype: 'u32' }) };
      const loss = denoisingLoss(unet, clean, { minWeight: 0 });
      loss.backward();
      expect(await loss.item()).toBe(0);
      const gradients = await unet.gradDict();
      for (const key of gradients.keys()) {
        expect(
          (await floats(gradients, key)).every((one) => one === 0),
          key,
        ).toBe(true);
      }
      unet.dispose();
    }));

  it('trains with padded captions, factors on attention, and without CLIP', () =>
    scope(async () => {
      const device = await testDevice();
      const unet = await tinyPaella(device);
      const batch = await goldenBatch(device, await checkpoint('paella-tiny.golden.safetensors'));
      const { byt5 } = batch.cond;
      unet.genREmbedding([0]);
      const before = device.memory().liveTensors;
      const conds = [{ byt5 }, { byt5, byt5Lengths: [1, 3] }, { byt5, attnWeights: [0.5, 2] }];
      for (const cond of conds) {
        scope(() => denoisingLoss(unet, { ...batch, cond }).backward());
        expect(unet.byt5_mapper.weight.value.grad).not.toBeNull();
        expect(unet.clip_mapper.weight.value.grad).toBeNull();
        unet.zeroGrad();
        expect(device.memory().liveTensors).toBe(before);
      }
      unet.dispose();
    }));

  it('says what does not fit, and holds nothing then', () =>
    scope(async () => {
      const device = await testDevice();
      const unet = await tinyPaella(device);
      const batch = await goldenBatch(device, await checkpoint('paella-tiny.golden.safetensors'));
      unet.genREmbedding([0]);
      const flat = batch.target.reshape([-1]);
      const three = device.tensor([0.1, 0.2, 0.3]);
      const one = batch.cond.byt5.slice(0, 0, 1);
      const before = device.memory().liveTensors;
      const refuses = (wrong: object, code: PaellaError['code'], text: RegExp, options = {}): void => {
        expectError(() => denoisingLoss(unet, { ...batch, ...wrong }, options), code, text);
        expect(device.memory().liveTensors).toBe(before);
      };
      refuses({ target: flat }, 'shape', /target must have the shape of noised/);
      refuses({ mask: flat }, 'shape', /mask must have the shape of noised/);
      refuses({ r: [0.5] }, 'shape', /2 pictures but 1 noise levels/);
      refuses({ r: three }, 'shape', /2 pictures but 3 noise levels/);
      refuses({ cond: { byt5: one } }, 'shape', /2 pictures but 1 conditions/);
      refuses({}, 'argument', /minWeight must be in \[0,1\]/, { minWeight: NaN });
      refuses({}, 'argument', /labelSmoothing must be in \[0,1\]/, { labelSmoothing: 2 });
      unet.train(); // dropout without an rng
      refuses({}, 'argument', /./);
      unet.dispose();
    }));
});

describe('five training steps against PyTorch', () => {
  it('have its losses, gradient norms and final weights', () =>
    scope(async () => {
      const device = await testDevice();
      const unet = await tinyPaella(device);
      const golden = await checkpoint('paella-tiny.golden.safetensors');
      const train = await checkpoint('paella-tiny.train5.safetensors');
      const { noised, target, mask, r, cond } = await goldenBatch(device, golden);
      const [tokens, clean, replaced] = await Promise.all([noised, target, mask].map((one) => one.data()));
      const mixed: Tensor = device.tensor(
        Uint32Array.from(tokens, (token, i) => (replaced[i] ? token : clean[i])),
        noised.shape,
      );
      const optimizer = new optim.AdamW(unet.namedParameters().filter(([, { isBuffer }]) => !isBuffer));
      const warmUp = optim.constantSchedule({ warmupSteps: 3 });
      const losses: number[] = [];
      const norms: number[] = [];
      for (let step = 0; step < 5; step++) {
        optimizer.setLearningRate(3e-3 * warmUp(step));
        optimizer.zeroGrad();
        const { loss, norm } = scope(() => {
          const value = denoisingLoss(unet, { noised: mixed, target, mask, r, cond });
          value.backward();
          return { loss: value.detach(), norm: optimizer.clipGradNorm(1) };
        });
        optimizer.step();
        losses.push(await loss.item());
        norms.push(await norm.item());
      }
      const errors = {
        losses: relativeError(losses, await floats(train, 'losses')),
        norms: relativeError(norms, await floats(train, 'grad_norms')),
        weights: 0,
      };
      const state = unet.stateDict();
      for (const key of state.keys()) {
        const error = relativeError(await floats(state, key), await floats(train, `final/${key}`));
        errors.weights = Math.max(errors.weights, error);
      }
      console.log('five steps', errors);
      expect(errors.losses).toBeLessThan(1e-4);
      expect(errors.norms).toBeLessThan(1e-4);
      expect(errors.weights).toBeLessThan(1e-3);
      optimizer.dispose();
      unet.dispose();
    }));
});
