/** A folder of released files, tiny and with random weights. In Node: it is written to disk. */
import {
  type Device,
  PaellaError,
  type StateDict,
  loadStateDict,
  saveSafetensors,
  scope,
} from '@paella/tensor';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PRESETS, Pipeline, type RgbaImage, openModel } from '../src/index.js';
import { testDevice } from './helpers.js';
import { TINY_RELEASE, writeRelease } from './random-release.js';

let device: Device;
let folder: string;

beforeAll(async () => {
  device = await testDevice();
  folder = await mkdtemp(join(tmpdir(), 'paella-released-'));
  await writeRelease(folder);
});

afterAll(() => rm(folder, { recursive: true }));

/** Runs `work` while a file of the folder is away. */
async function without(file: string, work: () => Promise<void>): Promise<void> {
  await rename(join(folder, file), join(folder, 'away'));
  try {
    await work();
  } finally {
    await rename(join(folder, 'away'), join(folder, file));
  }
}

const options = { seed: 4, steps: 2, size: [64, 32] } as const;

const plain = (shade: number): RgbaImage => ({
  width: 40,
  height: 30,
  data: new Uint8ClampedArray(40 * 30 * 4).fill(shade),
});

describe('a folder of released files', () => {
  it('reads configurations off the shapes, and draws as the notebook does', async () => {
    const model = await openModel(folder);
    expect(model.missing).toEqual([]);
    expect(model.imageSize).toEqual([256, 256]);
    expect(model.sampler).toEqual(PRESETS.notebook);
    const meta = model.unet.build(device);
    expect(meta.config).toEqual(TINY_RELEASE.unet);
    const pipeline = await Pipeline.load(folder, { device });
    expect(pipeline.settings()).toMatchObject({
      steps: 32,
      renoiseSteps: 26,
      temperature: [1.2, 0.2],
      cfg: 8,
    });
    expect(pipeline.settings({ preset: 'blog' })).toMatchObject({ steps: 12, renoiseSteps: 11 });
    const { images, shape } = await pipeline.generate('a red apple', options);
    expect(images[0]).toMatchObject({ width: 64, height: 32 });
    expect(shape).toEqual([1, 8, 16]);
    pipeline.dispose();
  });

  it('tells the U-Net what the prompt says, what CLIP makes of it, and what the prior imagines', () =>
    scope(async () => {
      const pipeline = await Pipeline.load(folder, { device });
      const [plainly, negative, seen] = await pipeline.conditions(
        [
          { prompt: 'fruit' },
          { prompt: '', usePrior: false },
          { prompt: 'fruit', images: [plain(20), plain(200)] },
        ],
        { seed: 1 },
      );
      const { clip_embd, byt5_embd } = TINY_RELEASE.unet;
      expect(plainly.byt5.shape).toEqual([1, 6, byt5_embd]);
      expect(plainly.clip?.shape).toEqual([1, clip_embd]);
      expect([plainly.clipImage].flat()).toHaveLength(1);
      expect(negative.byt5.shape).toEqual([1, 1, byt5_embd]);
      expect(negative.clipImage).toBeUndefined();
      expect([seen.clipImage].flat()).toHaveLength(2);
      // As many factors as bytes, counted from the end: 3 image tokens, and 3 of CLIP's text before them.
      const { attnWeights } = plainly;
      expect(Array.from(attnWeights!)).toEqual([1, 1, 1, 1, 1, 1, 1.2, 1.2, 1.2, 0.4, 0.4, 0.4]);
      expect(negative.attnWeights).toBeUndefined();
      pipeline.dispose();
    }));

  it('lets the prior imagine the same for a picture of a seed whatever else is drawn', () =>
    scope(async () => {
      const pipeline = await Pipeline.load(folder, { device });
      const vectors = async (prompts: string[], first: number): Promise<number[][]> => {
        const requests = prompts.map((prompt) => ({ prompt }));
        const conditions = await pipeline.conditions(requests, { seed: 5, first, preset: 'blog' });
        const images = conditions.flatMap(({ clipImage }) => clipImage ?? []);
        return Promise.all(images.map(async (image) => Array.from(await image.data())));
      };
      const [a, b] = await vectors(['x', 'y'], 0);
      const [alone] = await vectors(['y'], 1);
      const [other] = await vectors(['x'], 1);
      alone.forEach((value, i) => expect(value).toBeCloseTo(b[i], 4));
      expect(other).not.toEqual(a);
      pipeline.dispose();
    }));

  it('draws the same with one large network at a time', async () => {
    const eager = await Pipeline.load(folder, { device });
    const frugal = await Pipeline.load(folder, { device, lowMemory: true });
    expect(() => frugal.unet).toThrow(PaellaError);
    const expected = await eager.generate(['a', 'b'], options);
    expect(await frugal.generate(['a', 'b'], options)).toEqual(expected);
    // What is left is the U-Net and the VQGAN.
    expect(frugal.unet.config).toEqual(eager.unet.config);
    eager.dispose();
    frugal.dispose();
  });

  it('draws the same pictures in passes of any size', async () => {
    const pipeline = await Pipeline.load(folder, { device });
    const all = await pipeline.generate(['a', 'b', 'c'], options);
    const passes: number[] = [];
    const one = await pipeline.generate(['a', 'b', 'c'], {
      ...options,
      batchSize: 2,
      onStep: ({ pass, passes: of, first, step }) => void passes.push(pass, of, first, step),
    });
    expect(one).toEqual(all);
    expect(passes).toEqual([0, 2, 0, 0, 0, 2, 0, 1, 1, 2, 2, 0, 1, 2, 2, 1]);
    const last = await pipeline.generate('c', { ...options, first: 2 });
    expect(last.tokens).toEqual(all.tokens.slice(2 * 128));
    pipeline.dispose();
  });

  it("takes diffusers' VQGAN in the place of the released one", async () => {
    const state = await loadStateDict(join(folder, 'vqgan_f4.pt'));
    const [ours, theirs] = ['vquantizer.codebook.weight', 'vquantizer.embedding.weight'];
    const stored = (key: string) => (key === theirs ? ours : key);
    const renamed: StateDict = {
      keys: () => state.keys().map((key) => (key === ours ? theirs : key)),
      info: (key) => state.info(stored(key)),
      get: (key) => state.get(stored(key)),
    };
    await mkdir(join(folder, 'vqgan'));
    await saveSafetensors(join(folder, 'vqgan', 'diffusion_pytorch_model.safetensors'), renamed);
    await state.close?.();
    const released = await Pipeline.load(folder, { device });
    const expected = await released.generate('x', options);
    released.dispose();
    await without('vqgan_f4.pt', async () => {
      const pipeline = await Pipeline.load(folder, { device });
      expect(await pipeline.generate('x', options)).toEqual(expected);
      pipeline.dispose();
    });
    await rm(join(folder, 'vqgan'), { recursive: true });
  });

  it('names what is missing, what for, and where it is published', async () => {
    await without('vqgan_f4.pt', () =>
      expect(openModel(folder)).rejects.toThrow(/vqgan_f4\.pt.*tokens into pixels.*dome272\/Paella/),
    );
    await without('byt5-xl', () => expect(openModel(folder)).rejects.toThrow(/byt5-xl.*google\/byt5-xl/));
    await without('prior_v1.pt', async () => {
      const { missing, prior } = await openModel(folder);
      expect(prior).toBeUndefined();
      expect(missing).toMatchObject([{ file: 'prior_v1.pt', published: expect.stringContaining('Paella') }]);
    });
    await without('clip-vit-h-14', async () => {
      const pipeline = await Pipeline.load(folder, { device });
      expect(pipeline.takesImages).toBe(false);
      const asked = pipeline.conditions([{ prompt: '', images: [plain(0)] }]);
      await expect(asked).rejects.toMatchObject({ code: 'unsupported', message: /clip-vit-h-14/ });
      const { images } = await pipeline.generate('still draws', options);
      expect(images).toHaveLength(1);
      pipeline.dispose();
    });
    await without('paella_v3.pt', () => expect(openModel(folder)).rejects.toThrow(/neither model.json nor/));
  });
});
