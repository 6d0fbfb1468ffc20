/** The applications with CLIP, a prior and one large network at a time: on tiny released files, in Node. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Pipeline,
  type RgbaImage,
  generateRegions,
  inpaint,
  interpolate,
  morph,
  outpaint,
  vary,
} from '../src/index.js';
import { testDevice } from './helpers.js';
import { writeRelease } from './random-release.js';

let pipeline: Pipeline;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'paella-edit-'));
  await writeRelease(folder);
  pipeline = await Pipeline.load(folder, { device: await testDevice(), lowMemory: true });
});

afterAll(async () => {
  pipeline.dispose();
  await rm(folder, { recursive: true });
});

const size = [32, 32] as const;
const options = { seed: 4, steps: 2, size } as const;
const picture: RgbaImage = {
  width: 32,
  height: 32,
  data: Uint8ClampedArray.from({ length: 32 * 32 * 4 }, (_, i) => (i % 4 === 3 ? 255 : (i * 7) % 256)),
};

describe('applications of released files', () => {
  it('vary and morph with CLIP vectors beside the prompt', async () => {
    const one = await vary(pipeline, [picture], { ...options, prompt: 'a red apple' });
    const two = await vary(pipeline, [picture, picture], { ...options, prompt: 'a red apple' });
    expect(two.tokens).not.toEqual(one.tokens);
    const all = await morph(pipeline, picture, 'a pear', { ...options, strength: 1, renoise: 'start' });
    expect(all.tokens).toEqual((await pipeline.generate('a pear', options)).tokens);
  });

  it('interpolate from what is drawn for one prompt to what is drawn for the other', async () => {
    const { tokens } = await interpolate(pipeline, 'a red apple', 'sun', { ...options, frames: 3 });
    for (const [i, prompt] of ['a red apple', 'sun'].entries()) {
      const alone = await pipeline.generate(prompt, options);
      expect(tokens.slice(128 * i, 128 * i + 64), prompt).toEqual(alone.tokens);
    }
  });

  it('mix regions, each picture with what the prior imagines for it', async () => {
    const area = { x: 0, y: 0, width: 32, height: 32 };
    const regions = [{ prompt: 'a (red:1.5) apple', area }];
    const { tokens } = await generateRegions(pipeline, 'sun', regions, { ...options, count: 2 });
    const alone = await pipeline.generate('a (red:1.5) apple', { ...options, count: 2 });
    expect(tokens).toEqual(alone.tokens);
  });

  it('keep what inpainting and outpainting are to keep', async () => {
    const box = { x: 8, y: 8, width: 16, height: 16 };
    const { size: _, ...rest } = options;
    const inside = await inpaint(pipeline, picture, box, 'sun', rest);
    const around = await outpaint(pipeline, picture, { size: [64, 64] }, 'sun', rest);
    expect(around.shape).toEqual([1, 16, 16]);
    for (let y = 0; y < 32; y++) {
      const row = picture.data.subarray(128 * y, 128 * (y + 1));
      expect(around.images[0].data.subarray(256 * (y + 16) + 64, 256 * (y + 16) + 192)).toEqual(row);
      if (y < 8) expect(inside.images[0].data.subarray(128 * y, 128 * (y + 1))).toEqual(row);
    }
  });
});
