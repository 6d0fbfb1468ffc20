/** The applications, with the embedded model. */
import { encode as encodePng } from 'fast-png';
import { Device, PaellaError, scope } from '@paella/tensor';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { saveOutput } from '../../../test/fixtures.js';
import {
  type GenerationStep,
  Pipeline,
  type RgbaImage,
  contactSheet,
  generateRegions,
  inpaint,
  interpolate,
  morph,
  outpaint,
  vary,
} from '../src/index.js';
import { testDevice, text } from './helpers.js';
import { webFolder } from './web-folder.js';

let device: Device;
let pipeline: Pipeline;
/** A picture to begin with, and its tokens. */
let apple: RgbaImage;
let appleTokens: number[];

beforeAll(async () => {
  device = await testDevice();
  pipeline = await Pipeline.load('default', { device });
  [apple] = (await pipeline.generate('a red apple', { seed: 7, steps: 4 })).images;
  appleTokens = await encode(apple);
});

const encode = (image: RgbaImage): Promise<number[]> =>
  scope(async () => Array.from(await (await pipeline.encode([image])).data()));

const save = (name: string, images: RgbaImage[]): Promise<string> => {
  const { width, height, data } = contactSheet(images);
  return saveOutput(name, encodePng({ width, height, data, channels: 4, depth: 8 }));
};

const colour = ({ width, data }: RgbaImage, x: number, y: number): number[] =>
  Array.from(data.subarray(4 * (y * width + x), 4 * (y * width + x) + 3));

/** Part of the pixels or tokens that lie in a rectangle, or outside. */
const inBox = (i: number, columns: number, [x, y, w, h]: number[]): boolean =>
  i % columns >= x && i % columns < x + w && Math.floor(i / columns) >= y && Math.floor(i / columns) < y + h;

const equalShare = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).filter((value, i) => value === b[i]).length / a.length;

describe('inpaint', () => {
  const box = { x: 16, y: 24, width: 32, height: 16 };
  const tokenBox = [4, 6, 8, 4];

  it('keeps the tokens outside of a box in every step, and their pixels', async () => {
    const seen: number[][] = [];
    let preview: RgbaImage | undefined;
    const before = device.memory().liveTensors;
    const { images, tokens, shape } = await inpaint(pipeline, apple, box, 'a blue whale', {
      seed: 1,
      steps: 3,
      count: 2,
      async onStep(info: GenerationStep) {
        seen.push(Array.from(await info.tokens.data()));
        preview = (await info.preview())[1];
      },
    });
    await save('inpaint.png', [apple, ...images]);
    expect(shape).toEqual([2, 16, 16]);
    expect(seen).toHaveLength(3);
    for (const drawn of [...seen, Array.from(tokens)]) {
      const kept = drawn.filter((_, i) => !inBox(i % 256, 16, tokenBox));
      const expected = appleTokens.filter((_, i) => !inBox(i, 16, tokenBox));
      expect(kept).toEqual([...expected, ...expected]);
    }
    const inside = (all: ArrayLike<number>): number[] =>
      Array.from(all).filter((_, i) => inBox(i, 16, tokenBox));
    expect(equalShare(inside(tokens), inside(appleTokens))).toBeLessThan(0.8);
    expect(equalShare(tokens.slice(0, 256), tokens.slice(256))).toBeLessThan(1);
    for (const image of [...images, preview!]) {
      const differs = Array.from({ length: 64 * 64 }, (_, i) => i).filter(
        (i) =>
          colour(image, i % 64, Math.floor(i / 64)).join() !==
          colour(apple, i % 64, Math.floor(i / 64)).join(),
      );
      expect(differs.length).toBeGreaterThan(50);
      expect(differs.every((i) => inBox(i, 64, [16, 24, 32, 16]))).toBe(true);
    }
    expect(device.memory().liveTensors).toBe(before);
  });

  it('takes a mask picture, inverted too, and can leave all pixels to the decoder', async () => {
    const mask = { width: 64, height: 64, data: new Uint8ClampedArray(64 * 64 * 4) };
    for (let i = 0; i < 64 * 64; i++)
      if (!inBox(i, 64, [16, 24, 32, 16])) mask.data.fill(255, 4 * i, 4 * i + 4);
    const options = { seed: 1, steps: 2 };
    const [a, b] = [
      await inpaint(pipeline, apple, box, 'a blue whale', options),
      await inpaint(pipeline, apple, mask, 'a blue whale', { ...options, invert: true, keepPixels: false }),
    ];
    expect(b.tokens).toEqual(a.tokens);
    const decoded = await scope(() => pipeline.decode(device.tensor(a.tokens, a.shape)));
    expect(b.images).toEqual(decoded);
  });

  it('scales a picture of another size only when asked', async () => {
    const odd = { width: 50, height: 40, data: new Uint8ClampedArray(50 * 40 * 4).fill(200) };
    const area = { x: 0, y: 0, width: 16, height: 16 };
    await expect(inpaint(pipeline, odd, area, 'x')).rejects.toThrow(
      /50×40 does not divide into tokens. Give a size, such as 48×48/,
    );
    const { images, shape } = await inpaint(pipeline, odd, area, 'x', { size: [48, 32], steps: 1 });
    expect([shape, images[0].width, images[0].height]).toEqual([[1, 8, 12], 48, 32]);
  });
});

describe('outpaint', () => {
  it('keeps the picture where it lies and draws the rest', async () => {
    const seen: number[][] = [];
    const at = [32, 0] as const;
    const { images, tokens, shape } = await outpaint(
      pipeline,
      apple,
      { size: [128, 64], at },
      'an apple tree',
      {
        seed: 2,
        steps: 3,
        onStep: async (info) => void seen.push(Array.from(await info.tokens.data())),
      },
    );
    await save('outpaint.png', images);
    expect(shape).toEqual([1, 16, 32]);
    for (const drawn of [...seen, Array.from(tokens)]) {
      expect(drawn.filter((_, i) => inBox(i, 32, [8, 0, 16, 16]))).toEqual(appleTokens);
    }
    for (let i = 0; i < 64 * 64; i += 17) {
      const [x, y] = [i % 64, Math.floor(i / 64)];
      expect(colour(images[0], 32 + x, y)).toEqual(colour(apple, x, y));
    }
  });

  it('takes margins, and pictures that are scaled first', async () => {
    const options = { seed: 2, steps: 2, imageSize: [32, 32] as const };
    const { images, shape } = await outpaint(pipeline, apple, { left: 16, top: 32 }, 'apples', options);
    expect([shape, images[0].width, images[0].height]).toEqual([[1, 16, 12], 48, 64]);
    await expect(outpaint(pipeline, apple, { left: 8 }, 'apples')).rejects.toThrow(/72x64 does not divide/);
  });
});

describe('morph', () => {
  it('goes from the picture itself to what is drawn from noise', async () => {
    const options = { seed: 5, steps: 4, renoise: 'start' } as const;
    const weak = await morph(pipeline, apple, 'a green pear', { ...options, strength: 0.01 });
    const some = await morph(pipeline, apple, 'a green pear', { ...options, strength: 0.5, count: 2 });
    const all = await morph(pipeline, apple, 'a green pear', { ...options, strength: 1 });
    const { tokens } = await pipeline.generate('a green pear', options);
    await save('morph.png', [apple, ...weak.images, ...some.images, ...all.images]);
    expect(all.tokens).toEqual(tokens);
    expect(some.shape).toEqual([2, 16, 16]);
    expect(equalShare(some.tokens.slice(0, 256), some.tokens.slice(256))).toBeLessThan(1);
    const [near, far] = [equalShare(weak.tokens, appleTokens), equalShare(all.tokens, appleTokens)];
    console.log(`tokens of the picture: ${near.toFixed(2)} at strength 0.01, ${far.toFixed(2)} at 1`);
    expect(near).toBeGreaterThan(far);
  });

  it('begins at a step of all', async () => {
    const steps: string[] = [];
    const options = { seed: 5, steps: 4, startStep: 1, temperature: 0.5 };
    const { tokens } = await morph(pipeline, apple, 'a green pear', {
      ...options,
      onStep: (info) => void steps.push(`${info.step}/${info.steps}`),
    });
    expect(steps).toEqual(['0/3', '1/3', '2/3']);
    const same = await morph(pipeline, apple, 'a green pear', {
      seed: 5,
      steps: 3,
      temperature: 0.5,
      strength: 0.75,
    });
    expect(same.tokens).toEqual(tokens);
    await expect(morph(pipeline, apple, 'x', { strength: 2 })).rejects.toThrow(PaellaError);
    await expect(morph(pipeline, apple, 'x', { count: 0 })).rejects.toThrow(/count must be/);
  });
});

describe('interpolate', () => {
  it('begins and ends with the pure prompts, whatever their length', async () => {
    const options = { seed: 3, steps: 2 };
    const ends = ['a big red apple', 'moon'] as const;
    const between = await interpolate(pipeline, ...ends, { ...options, frames: 3 });
    await save('interpolate.png', between.images);
    expect(between.images).toHaveLength(3);
    const frame = (i: number): Uint32Array => between.tokens.slice(i * 256, (i + 1) * 256);
    expect(frame(0)).toEqual((await pipeline.generate(ends[0], options)).tokens);
    expect(frame(2)).toEqual((await pipeline.generate(ends[1], options)).tokens);
    await expect(interpolate(pipeline, 'a', 'b', { frames: 1 })).rejects.toThrow(/frames/);
  });

  it('begins and ends with pictures too', async () => {
    const options = { seed: 3, steps: 1 };
    const [pear] = (await pipeline.generate('a green pear', { seed: 7, steps: 4 })).images;
    const ends = [apple, pear].map((image) => ({ prompt: '', images: [image] }));
    const { tokens } = await interpolate(pipeline, ends[0], ends[1], { ...options, frames: 3 });
    for (const [i, image] of [apple, pear].entries()) {
      const varied = await vary(pipeline, [image], options);
      expect(equalShare(tokens.slice(512 * i, 512 * i + 256), varied.tokens)).toBeGreaterThan(0.98);
    }
    const mixed = interpolate(pipeline, ends[0], 'a green pear', { ...options, frames: 3 });
    await expect(mixed).rejects.toMatchObject({ code: 'unsupported', message: /1 images and/ });
  });

  it('changes nothing between equal prompts', async () => {
    const { tokens } = await interpolate(pipeline, 'sun', 'sun', { seed: 3, steps: 2, frames: 3 });
    expect(equalShare(tokens.slice(256, 512), tokens.slice(0, 256))).toBeGreaterThan(0.98);
    expect(tokens.slice(512)).toEqual(tokens.slice(0, 256));
  });
});

describe('generateRegions', () => {
  const options = { seed: 4, steps: 3 };

  it('draws each prompt where it counts', async () => {
    const left = { x: 0, y: 0, width: 32, height: 64 };
    const { images, tokens } = await generateRegions(
      pipeline,
      'blue heart',
      [{ prompt: 'red heart', area: left }],
      { ...options, count: 2 },
    );
    await save('regions.png', images);
    expect(tokens).toHaveLength(512);
    for (const image of images) {
      const [red, blue] = [0, 32].map((from) => {
        let sum = 0;
        for (let i = 0; i < 32 * 64; i++) {
          const [r, , b] = colour(image, from + (i % 32), Math.floor(i / 32));
          sum += r - b;
        }
        return sum;
      });
      expect(red).toBeGreaterThan(blue);
    }
  });

  it('is the same as generate where one prompt has everything', async () => {
    const all = { x: 0, y: 0, width: 64, height: 64 };
    const { tokens } = await generateRegions(pipeline, 'x', [{ prompt: 'sun', area: all }], options);
    const alone = await pipeline.generate('sun', options);
    expect(equalShare(tokens, alone.tokens)).toBeGreaterThan(0.98);
    expect((await generateRegions(pipeline, 'sun', [], options)).tokens).toEqual(alone.tokens);
  });

  it('mixes along a ramp, in any size', async () => {
    const area = 'horizontal';
    const { shape } = await generateRegions(pipeline, 'sun', [{ prompt: 'moon', area }], {
      ...options,
      size: [96, 32],
    });
    expect(shape).toEqual([1, 8, 24]);
    const mask = { ...apple, width: 32, height: 128 };
    await expect(generateRegions(pipeline, 'sun', [{ prompt: 'moon', area: mask }])).rejects.toThrow(
      /the mask has 32×128 pixels, the picture 64×64/,
    );
  });
});

describe('weighted prompts', () => {
  it('change the picture unless the weights are 1', async () => {
    const options = { seed: 6, steps: 2 };
    const plain = await pipeline.generate('a red apple', options);
    expect(await pipeline.generate('a (red:1) apple', options)).toEqual(plain);
    const heavy = await pipeline.generate('a (red:3) apple', options);
    expect(heavy.tokens).not.toEqual(plain.tokens);
  });
});

describe('vary', () => {
  it('takes after one or several pictures, with words or without', async () => {
    const options = { seed: 1, steps: 2 };
    const alone = await vary(pipeline, [apple], { ...options, count: 2 });
    await save('vary.png', alone.images);
    expect(alone.shape).toEqual([2, 16, 16]);
    const empty = await pipeline.generate('', options);
    for (const other of [
      empty,
      await vary(pipeline, [apple, apple], options),
      await vary(pipeline, [apple], { ...options, prompt: 'green' }),
    ]) {
      expect(equalShare(alone.tokens.slice(0, 256), other.tokens)).toBeLessThan(1);
    }
    await expect(vary(pipeline, [])).rejects.toThrow(/needs a picture/);
  });

  it('says what a model without an image encoder can do instead', async () => {
    const card = JSON.parse(await text('../../models/default/model.json')) as Record<string, unknown>;
    const { image_encoder: _, ...blind } = card;
    const { url } = webFolder({ 'model.json': JSON.stringify(blind) });
    try {
      const model = await Pipeline.load(url, { device, lowMemory: true });
      expect(model.takesImages).toBe(false);
      const asked = vary(model, [apple]);
      await expect(asked).rejects.toMatchObject({ code: 'unsupported', message: /no image encoder.*morph/ });
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe('passes', () => {
  it('do not change what is drawn', async () => {
    const options = { seed: 8, steps: 1, count: 3 };
    const box = { x: 16, y: 16, width: 32, height: 32 };
    const area = { x: 0, y: 0, width: 32, height: 64 };
    const applications = {
      inpaint: (batchSize: number) => inpaint(pipeline, apple, box, 'sun', { ...options, batchSize }),
      interpolate: (batchSize: number) =>
        interpolate(pipeline, 'a red apple', 'sun', {
          seed: 8,
          steps: 1,
          frames: 3,
          method: 'lerp',
          batchSize,
        }),
      regions: (batchSize: number) =>
        generateRegions(pipeline, 'sun', [{ prompt: 'moon', area }], { ...options, batchSize }),
    };
    for (const [name, draw] of Object.entries(applications)) {
      const [together, apart] = [await draw(3), await draw(2)];
      expect(together.shape, name).toEqual([3, 16, 16]);
      expect(equalShare(apart.tokens, together.tokens), name).toBeGreaterThan(0.99);
    }
  });

  it('go on at any picture', async () => {
    const options = { seed: 8, steps: 2 };
    const both = await morph(pipeline, apple, 'sun', { ...options, count: 2 });
    const second = await morph(pipeline, apple, 'sun', { ...options, first: 1 });
    expect(equalShare(second.tokens, both.tokens.slice(256))).toBeGreaterThan(0.99);
  });
});
