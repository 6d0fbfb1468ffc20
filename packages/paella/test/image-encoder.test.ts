import { Rng, scope } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import { ImageEncoder, type ImageEncoderConfig, Pipeline, type RgbaImage, vary } from '../src/index.js';
import { checkpoint, expectGolden, imageInput, sub, testDevice } from './helpers.js';

const TINY: ImageEncoderConfig = { image_size: 16, patch_size: 4, c_hidden: [8, 12], embed_dim: 6 };

type Colour = readonly [number, number, number];

function solid([r, g, b]: Colour, width: number, height: number): RgbaImage {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < data.length; i += 4) data.set([r, g, b, 255], i);
  return { width, height, data };
}

/** Mean colour of a picture. */
function meanColour({ data }: RgbaImage): Colour {
  const sum: [number, number, number] = [0, 0, 0];
  for (let i = 0; i < data.length; i++) if (i % 4 < 3) sum[i % 4] += (data[i] * 4) / data.length;
  return sum;
}

const distance = (a: Colour, b: Colour): number => Math.hypot(...a.map((value, c) => value - b[c]));

describe('the image encoder', () => {
  it('gives what PyTorch gives', () =>
    scope(async () => {
      const device = await testDevice();
      const golden = await checkpoint('image-encoder-tiny.golden.safetensors');
      const encoder = new ImageEncoder(TINY, { device });
      await encoder.loadStateDict(sub(golden, 'state/'));
      await expectGolden(encoder.forward(await imageInput(device, golden, 'pixels')), golden, 'image_embed');
      encoder.dispose();
    }));

  it('gives a saved and loaded copy the same vectors, one picture or several', () =>
    scope(async () => {
      const device = await testDevice();
      const encoder = new ImageEncoder(TINY, { device, rng: new Rng(1) });
      const copy = new ImageEncoder(TINY, { device });
      await copy.loadStateDict(encoder.stateDict());
      const images = [solid([200, 30, 30], 40, 25), solid([20, 90, 220], 16, 16)];
      const both = await encoder.encode(images).data();
      expect(await copy.encode(images).data()).toEqual(both);
      const second = await copy.encode(images.slice(1)).data();
      second.forEach((value, i) => expect(value).toBeCloseTo(both[6 + i], 5));
      encoder.dispose();
      copy.dispose();
    }));

  it('refuses what it cannot look at', async () => {
    const device = await testDevice();
    expect(() => new ImageEncoder({ ...TINY, image_size: 20 }, { device })).toThrow(/do not make 2 levels/);
    expect(() => new ImageEncoder({ ...TINY, c_hidden: [] }, { device })).toThrow(/one level at least/);
    const encoder = new ImageEncoder(TINY, { device, rng: new Rng(1) });
    expect(() => encoder.encode([])).toThrow(/got none/);
    expect(() => encoder.encode([{ width: 0, height: 4, data: new Uint8ClampedArray() }])).toThrow(/got 0×4/);
    using pixels = device.zeros([1, 32, 32, 3]);
    expect(() => encoder.forward(pixels)).toThrow(/reads \[B,16,16,3\]/);
    encoder.dispose();
  });
});

describe('variations by the embedded model', () => {
  it('have the colour of the picture', async () => {
    const device = await testDevice();
    using pipeline = await Pipeline.load('default', { device });
    expect(pipeline.takesImages).toBe(true);
    const colours: Colour[] = [
      [221, 46, 68],
      [85, 172, 238],
      [120, 177, 89],
    ];
    for (const colour of colours) {
      const { images } = await vary(pipeline, [solid(colour, 64, 64)], { count: 2, seed: 1, steps: 6 });
      for (const image of images) {
        const nearest = [...colours].sort(
          (a, b) => distance(meanColour(image), a) - distance(meanColour(image), b),
        )[0];
        expect(nearest, String(meanColour(image))).toEqual(colour);
      }
    }
  });
});
