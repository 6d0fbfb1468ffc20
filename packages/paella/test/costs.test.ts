/**
 * Upper bounds for what the embedded model's configuration costs, a few per cent above what it did when they were
 * written: what makes a kernel slower shows in benchmarks, what makes the engine run more of them shows here.
 */
import { Device, Rng, type Stats, type Tensor, noGrad, optim, scope } from '@paella/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  Paella,
  Pipeline,
  VQModel,
  denoisingStep,
  openModelFolder,
  optimizerStep,
  sample,
  type ModelCard,
} from '../src/index.js';
import { relativeError } from '../../tensor/test/helpers.js';
import { plainAdapter, testDevice } from './helpers.js';

const plain = plainAdapter({ buffer: 256 << 20, binding: 128 << 20 });

let card: ModelCard;
beforeAll(async () => {
  ({ card } = await openModelFolder('default'));
});

/** Draws tokens with random weights and decodes them; what `Pipeline.generate` does, but for the text. */
async function generateLike(
  device: Device,
  {
    steps,
    shape = [1, 16, 16],
    onStep,
  }: { steps: number; shape?: readonly [number, number, number]; onStep?: () => void },
): Promise<void> {
  const rng = new Rng(1);
  const unet = new Paella(card.unet.config, { device, rng }).requiresGrad_(false);
  const vqgan = new VQModel(card.vqgan.config, { device, rng }).requiresGrad_(false);
  device.trim();
  device.resetPeak();
  await scope(async () => {
    const condition = (length: number): { byt5: Tensor } => ({
      byt5: device.zeros([shape[0], length, card.unet.config.byt5_embd]),
    });
    const tokens = await sample(unet, condition(5), {
      shape,
      rng,
      uncond: condition(1),
      steps,
      onStep,
    });
    noGrad(() => vqgan.decodeIndices(tokens));
  });
  unet.dispose();
  vqgan.dispose();
}

/** What was added from one reading of the counters to the next. */
const between = (before: Stats, after: Stats): Stats =>
  Object.fromEntries(
    Object.entries(after).map(([key, value]) => [key, (value as number) - before[key as keyof Stats]]),
  ) as unknown as Stats;

function expectWithin(numbers: object, bounds: Record<string, number>): void {
  for (const [name, bound] of Object.entries(bounds)) {
    expect((numbers as Record<string, number>)[name], name).toBeLessThanOrEqual(bound);
  }
}

describe('a guided step of the U-Net', () => {
  it('needs so many kernels, bytes and pipelines, and no more memory than so', async () => {
    const device = await Device.create({ adapter: 'meta', like: plain });
    const seen: Stats[] = [];
    await generateLike(device, { steps: 3, onStep: () => void seen.push(device.stats()) });
    expectWithin(between(seen[1], seen[2]), {
      dispatches: 142,
      flops: 545e6,
      bytes: 45.5e6,
      uploadedBytes: 8,
      buffersCreated: 0,
    });
    expectWithin(device.stats(), { pipelines: 30 });
    // Weights are 26.8 MB of both.
    expectWithin(device.memory(), { peakLiveBytes: 29e6, peakBytes: 30.5e6 });
  });
});

describe('a training step', () => {
  it('needs so many kernels, bytes and pipelines, and no more memory than so', async () => {
    const device = await Device.create({ adapter: 'meta', like: plain });
    const { step, dispose } = trainer(device, [8, 16, 16]);
    step();
    device.trim();
    device.resetPeak();
    const before = device.stats();
    step();
    expectWithin(between(before, device.stats()), { dispatches: 790, flops: 7.8e9, bytes: 765e6 });
    expectWithin(device.stats(), { pipelines: 56 });
    // Weights, gradients and two moments are 106 MB of both.
    expectWithin(device.memory(), { peakLiveBytes: 160e6, peakBytes: 178e6 });
    dispose();
  });

  it('allocates and compiles nothing after the first few', async () => {
    const device = await testDevice();
    const { step, dispose } = trainer(device, [1, 4, 4]);
    for (let i = 0; i < 4; i++) step();
    const before = device.stats();
    step();
    await device.synchronize();
    expectWithin(between(before, device.stats()), { buffersCreated: 0, pipelines: 0 });
    dispose();
  });
});

describe('a picture', () => {
  it('takes few pipelines and submits, no buffers after the first, and little more memory than it must', async () => {
    const device = await Device.create();
    const pipeline = await Pipeline.load('default', { device });
    device.trim();
    device.resetPeak();
    // Loading rehearses: everything compiles while the weights are on their way.
    const { pipelines } = device.stats();
    expect(pipelines).toBeLessThanOrEqual(28);
    await pipeline.generate('a red apple', { seed: 1 });
    const first = device.stats();
    expect(first.pipelines).toBe(pipelines);
    await pipeline.generate('a red apple', { seed: 1 });
    // Of each step, and of what comes before and after.
    expectWithin(between(first, device.stats()), { pipelines: 0, buffersCreated: 0, submits: 2 * 12 + 6 });

    const meta = await Device.create({ adapter: 'meta', like: device.info });
    await generateLike(meta, { steps: 12 });
    expect(device.memory().peakBytes).toBeLessThanOrEqual(1.3 * meta.memory().peakLiveBytes);
    pipeline.dispose();
    device.destroy();
  });
});

describe('the pool', () => {
  it.each([
    [4, 16, 16],
    [2, 64, 64],
  ] as const)('holds at most 1.3 times the largest live set of %s × %s × %s tokens', async (...shape) => {
    const device = await Device.create({ adapter: 'meta' });
    await generateLike(device, { steps: 3, shape });
    const { peakBytes, peakLiveBytes } = device.memory();
    expect(peakBytes).toBeLessThanOrEqual(1.3 * peakLiveBytes);
  });
});

describe('choices between variants', () => {
  it('change no result beyond rounding, whichever way they fall', async () => {
    const device = await Device.create({ tuned: false });
    const unet = new Paella(card.unet.config, { device, rng: new Rng(1) });
    const rng = new Rng(2);
    const tokens = rng.randint(device, 0, card.unet.config.num_labels, [2, 8, 8]);
    const byt5 = rng.normal(device, [2, 3, card.unet.config.byt5_embd]);
    let most = 1;
    const results: Float32Array[] = [];
    for (let i = 0; i < most; i++) {
      device.capabilities.choose = (_, candidates) => {
        most = Math.max(most, candidates.length);
        return candidates[i % candidates.length];
      };
      results.push(
        await scope(
          async () => (await noGrad(() => unet.forward(tokens, 0.5, { byt5 })).data()) as Float32Array,
        ),
      );
    }
    for (const result of results.slice(1)) expect(relativeError(result, results[0])).toBeLessThan(1e-5);
    device.destroy();
  });
});

/** Training of the embedded U-Net from random weights, on random tokens `[B,H,W]`. */
function trainer(device: Device, shape: readonly [number, number, number]) {
  const rng = new Rng(1);
  const unet = new Paella(card.unet.config, { device, rng }).train();
  const optimizer = new optim.AdamW(unet.namedParameters(), { lr: 1e-3 });
  const tokens = rng.randint(device, 0, card.unet.config.num_labels, shape);
  const cond = { byt5: device.zeros([shape[0], 5, 100]) };
  return {
    step: (): void =>
      scope(() => {
        denoisingStep(unet, { tokens, cond }, { rng });
        optimizerStep(optimizer);
      }),
    dispose: (): void => {
      for (const one of [optimizer, unet, tokens, cond.byt5]) one.dispose();
    },
  };
}
