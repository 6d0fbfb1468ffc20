import { encode as encodePng } from 'fast-png';
import { Device, PaellaError, scope } from '@paella/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import { saveOutput } from '../../../test/fixtures.js';
import { Pipeline, type RgbaImage, contactSheet, openModelFolder, psnr } from '../src/index.js';
import { testDevice } from './helpers.js';

let device: Device;
let pipeline: Pipeline;

beforeAll(async () => {
  device = await testDevice();
  pipeline = await Pipeline.load('default', { device });
});

/** Mean colour of the pixels that are not background. */
function inkColour({ data }: RgbaImage): [number, number, number] {
  const sum = [0, 0, 0];
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (Math.min(data[i], data[i + 1], data[i + 2]) > 225) continue;
    for (let c = 0; c < 3; c++) sum[c] += data[i + c];
    count++;
  }
  return [sum[0] / count, sum[1] / count, sum[2] / count];
}

const save = (name: string, images: RgbaImage[]): Promise<string> => {
  const { width, height, data } = contactSheet(images);
  return saveOutput(name, encodePng({ width, height, data, channels: 4, depth: 8 }));
};

describe('Pipeline', () => {
  it('draws pictures whose colour follows the prompt', async () => {
    const prompts = ['a red apple', 'tree', 'whale', 'pizza'];
    const images: RgbaImage[] = [];
    for (const prompt of prompts) images.push(...(await pipeline.generate(prompt, { seed: 7 })).images);
    await save('prompts.png', images);
    const [apple, tree, whale, pizza] = images.map(inkColour);
    expect(apple[0]).toBeGreaterThan(1.5 * Math.max(apple[1], apple[2]));
    expect(tree[1]).toBeGreaterThan(1.2 * Math.max(tree[0], tree[2]));
    expect(whale[2]).toBeGreaterThan(1.2 * whale[0]);
    expect(pizza[0]).toBeGreaterThan(1.3 * pizza[2]);
  });

  it('gives equal pictures for equal seeds, previews, and leaves nothing behind', async () => {
    const seen: number[] = [];
    const entropies: number[] = [];
    const options = { seed: 3, count: 2, steps: 3 };
    const first = await pipeline.generate('car', options);
    const before = device.memory().liveTensors;
    const second = await pipeline.generate('car', {
      ...options,
      entropy: true,
      onStep: async ({ step, entropy, preview }) => {
        const [image] = await preview();
        seen.push(step, image.width);
        entropies.push(await entropy!.mean().item());
      },
    });
    expect(second).toEqual(first);
    expect(seen).toEqual([0, 64, 1, 64, 2, 64]);
    expect(entropies[0]).toBeLessThan(Math.log(pipeline.unet.config.num_labels));
    expect(entropies[2]).toBeGreaterThan(0);
    expect(entropies[2]).toBeLessThan(entropies[0]);
    expect(first).toMatchObject({ seed: 3, shape: [2, 16, 16] });
    expect(first.images).toHaveLength(2);
    expect(device.memory().liveTensors).toBe(before);
    const other = await pipeline.generate('car', { ...options, seed: 4 });
    expect(other.tokens).not.toEqual(first.tokens);
  });

  it('draws other sizes, and a negative prompt changes the picture', async () => {
    const options = { seed: 3, steps: 2, size: [96, 32] } as const;
    const { images, shape, tokens } = await pipeline.generate('car', options);
    expect([images[0].width, images[0].height, shape]).toEqual([96, 32, [1, 8, 24]]);
    const away = await pipeline.generate('car', { ...options, negative: 'red' });
    expect(away.tokens).not.toEqual(tokens);
  });

  it('gets back much the same picture from its tokens', async () => {
    const { images, tokens } = await pipeline.generate('house', { seed: 1, steps: 4 });
    const again = await scope(async () => {
      const encoded = await pipeline.encode(images);
      expect(encoded.shape).toEqual([1, 16, 16]);
      return pipeline.decode(encoded);
    });
    expect(tokens).toHaveLength(256);
    expect(psnr(images[0], again[0])).toBeGreaterThan(20);
    expect(psnr(images[0], images[0])).toBe(Infinity);
  });

  it('draws much the same with weights in f16, in half the memory', async () => {
    const half = await Pipeline.load('default', { device, dtype: 'f16' });
    // The embedded weights are stored as f16, so nothing is lost by it.
    const options = { seed: 7, steps: 3 };
    const [a, b] = [await pipeline.generate('tree', options), await half.generate('tree', options)];
    const equal = a.tokens.filter((token, i) => token === b.tokens[i]).length;
    expect(equal).toBeGreaterThan(250);
    const bytes = ({ unet }: Pipeline) => unet.parameters().reduce((sum, { value }) => sum + value.bytes, 0);
    expect(bytes(half)).toBeLessThan(0.55 * bytes(pipeline));
    half.dispose();
  });

  it('writes prompts in the form of the captions it learned from', () => {
    expect(pipeline.caption('a red apple')).toBe('a red apple, flat emoji');
    expect(pipeline.caption('dog, 3D render')).toBe('dog, 3D render');
    expect(pipeline.caption('')).toBe('');
  });

  it('says what is wrong with a request', async () => {
    await expect(pipeline.generate('x', { size: [60, 64] })).rejects.toThrow(/multiples of 16/);
    await expect(pipeline.generate('x', { count: 0 })).rejects.toThrow(/count/);
    await expect(pipeline.generate('x', { steps: 1.5 })).rejects.toThrow(PaellaError);
  });
});

describe('openModelFolder', () => {
  it('describes the embedded model', async () => {
    const { card } = await openModelFolder('default');
    expect(card).toMatchObject({ image_size: [64, 64], text_encoder: { kind: 'word-vectors' } });
    expect(card.licenses.length).toBeGreaterThan(3);
  });

  it('names the folder that is not one', async () => {
    const nowhere = new URL('./nowhere/', import.meta.url);
    await expect(openModelFolder(nowhere)).rejects.toThrow(PaellaError);
  });
});
