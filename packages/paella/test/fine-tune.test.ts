import { Rng, loadStateDict, type nn, safetensorsBlob, stateDictOf } from '@paella/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Example,
  type FineTuneOptions,
  type FineTuneStep,
  type Model,
  Paella,
  Pipeline,
  type RgbaImage,
  VQModel,
  WordVectorEncoder,
  fineTune,
  openModel,
  replacePart,
  undoFineTuning,
} from '../src/index.js';
import { testDevice } from './helpers.js';

/** A model of some thousand weights, whose pictures are 16×16 pixels (4×4 tokens). */
let model: Model;
beforeAll(async () => {
  const device = await testDevice();
  const rng = new Rng(1);
  const context = { device, rng };
  const unet = new Paella(
    {
      c_in: 16,
      c_out: 16,
      num_labels: 16,
      c_r: 8,
      patch_size: 2,
      c_cond: 8,
      c_hidden: [16],
      nhead: [2],
      blocks: [1],
      level_config: ['CTA'],
      clip_embd: 8,
      byt5_embd: 8,
      clip_seq_len: 1,
      kernel_size: 3,
      dropout: 0.1,
      self_attn: true,
    },
    context,
  );
  const vqgan = new VQModel(
    { levels: 2, bottleneck_blocks: 1, c_hidden: 8, c_latent: 4, codebook_size: 16, scale_factor: 1 },
    context,
  );
  // Copies, so that what is learned does not change where it began.
  const [unetState, vqganState] = await Promise.all([unet, vqgan].map(stateOf));
  model = {
    ...(await openModel('default')),
    name: 'tiny',
    imageSize: [16, 16],
    tokenMultiple: 2,
    factor: 4,
    numLabels: 16,
    unet: {
      name: 'unet',
      build: (on) => new Paella(unet.config, { device: on }),
      state: async () => unetState,
    },
    vqgan: {
      name: 'vqgan',
      build: (on) => new VQModel(vqgan.config, { device: on }),
      state: async () => vqganState,
    },
    text: {
      kind: 'word-vectors',
      open: (on) => WordVectorEncoder.load(on, 'apple\n', words, { maxWords: 8 }),
    },
    imageEncoder: undefined,
  };
  unet.dispose();
  vqgan.dispose();
});

const words = stateDictOf([
  ['vectors', { shape: [1, 8], data: Int8Array.of(8, 7, 6, 5, 4, 3, 2, 1), dtype: 'i8' }],
  ['scale', { shape: [1], data: Float32Array.of(0.1) }],
]);

async function stateOf(module: nn.Module) {
  return loadStateDict(await safetensorsBlob(module.stateDict()));
}

/** Of different sizes, one colour each. */
function picture(side: number, ...colour: [number, number, number]): RgbaImage {
  const data = new Uint8ClampedArray(side * side * 4);
  for (let i = 0; i < data.length; i += 4) data.set([...colour, 255], i);
  return { width: side, height: side, data };
}

const examples: Example[] = [
  { image: picture(40, 220, 30, 40), caption: 'apple' },
  { image: picture(16, 30, 60, 220), caption: 'a zorp of three words' },
];

const load = async (): Promise<Pipeline> => Pipeline.load(model, { device: await testDevice() });

async function learn(pipeline: Pipeline, options: FineTuneOptions): Promise<FineTuneStep[]> {
  const seen: FineTuneStep[] = [];
  await fineTune(pipeline, examples, {
    learningRate: 1e-2,
    seed: 3,
    ...options,
    onStep: async (info) => {
      seen.push(info);
      await options.onStep?.(info);
    },
  });
  return seen;
}

async function weights({ unet }: Pipeline): Promise<number[]> {
  const all: number[] = [];
  for (const { value } of unet.parameters()) all.push(...(await value.data()));
  return all;
}

describe('fineTune', () => {
  it('lowers the loss, and leaves the U-Net frozen, and nothing else on the device', async () => {
    using pipeline = await load();
    const before = pipeline.device.memory();
    const seen = await learn(pipeline, { steps: 60 });
    expect(seen).toHaveLength(60);
    expect(seen[0]).toMatchObject({ step: 0, steps: 60 });
    expect(seen.every(({ accuracy }) => accuracy >= 0 && accuracy <= 1)).toBe(true);
    const mean = (some: FineTuneStep[]) => some.reduce((sum, { loss }) => sum + loss, 0) / some.length;
    expect(mean(seen.slice(-10))).toBeLessThan(0.7 * mean(seen.slice(0, 3)));
    // The learning rate rises, and falls again.
    const rates = seen.map(({ learningRate }) => learningRate);
    expect(rates.indexOf(Math.max(...rates))).toBe(5);
    expect(rates[59]).toBeLessThan(0.2 * rates[5]);
    expect(pipeline.unet.training).toBe(false);
    expect(pipeline.unet.parameters().some(({ requiresGrad, grad }) => requiresGrad || grad)).toBe(false);
    // Weights lie side by side now, each with some padding; gradients and the optimizer's state are gone.
    const { liveBytes, liveTensors } = pipeline.device.memory();
    expect(liveBytes).toBeLessThan(1.5 * before.liveBytes);
    await learn(pipeline, { steps: 1 });
    expect(pipeline.device.memory()).toMatchObject({ liveBytes, liveTensors });
  });

  it('teaches the same with the same seed, draws in between, and is undone', async () => {
    using first = await load();
    using second = await load();
    const original = await weights(first);
    const one = await learn(first, { steps: 4 });
    const draw = () => second.generate('apple', { seed: 1, steps: 2 });
    const untaught = await draw();
    const two = await learn(second, {
      steps: 4,
      onStep: async () => {
        await draw();
      },
    });
    expect(two).toEqual(one);
    expect(await weights(second)).toEqual(await weights(first));
    expect(await weights(second)).not.toEqual(original);
    await undoFineTuning(second);
    expect(await weights(second)).toEqual(original);
    expect(await draw()).toEqual(untaught);
    const other = await learn(second, { steps: 1, seed: 4 });
    expect(other[0].loss).not.toBe(one[0].loss);
  });

  it('stops when told to and keeps what it learned until then, which can be saved and loaded', async () => {
    using pipeline = await load();
    const original = await weights(pipeline);
    const stop = new AbortController();
    const onStep = ({ step }: FineTuneStep) => {
      if (step === 1) stop.abort();
    };
    await expect(learn(pipeline, { steps: 50, signal: stop.signal, onStep })).rejects.toMatchObject({
      code: 'aborted',
      message: 'stopped after 2 of 50 steps',
    });
    const learned = await weights(pipeline);
    expect(learned).not.toEqual(original);
    expect(pipeline.unet.parameters().some(({ requiresGrad }) => requiresGrad)).toBe(false);
    const file = new File([await safetensorsBlob(pipeline.unet.stateDict())], 'mine.safetensors');
    using again = await Pipeline.load(await replacePart(model, file), { device: pipeline.device });
    expect(await weights(again)).toEqual(learned);
  });

  it('teaches nothing when the loss is not finite, or the caller fails', async () => {
    using pipeline = await load();
    const original = await weights(pipeline);
    await expect(learn(pipeline, { steps: 50, learningRate: 1e30 })).rejects.toMatchObject({
      code: 'non-finite',
      fix: expect.stringContaining('lower learning rate'),
    });
    expect(await weights(pipeline)).toEqual(original);
    const onStep = () => {
      throw new Error('no room for a picture');
    };
    await expect(learn(pipeline, { steps: 2, onStep })).rejects.toThrow('no room');
    expect(await weights(pipeline)).toEqual(original);
  });

  it('says what it cannot learn from', async () => {
    using pipeline = await load();
    const { image } = examples[0];
    const refusal = (given: Example[], options?: FineTuneOptions) =>
      fineTune(pipeline, given, options).then(
        () => 'none',
        (error: Error) => error.message,
      );
    expect(await refusal([])).toContain('no pictures');
    expect(await refusal([...examples, { image, caption: ' ' }])).toContain('without a caption: 3 of 3');
    expect(await refusal(examples, { steps: 0 })).toContain('steps must be a whole number ≥ 1, got 0');
    expect(await refusal(examples, { learningRate: NaN })).toContain('learningRate must be a number above 0');
    using half = await Pipeline.load(model, { device: pipeline.device, dtype: 'f16' });
    await expect(fineTune(half, examples)).rejects.toMatchObject({ code: 'unsupported' });
  });
});
