import { type Device, Rng, type Tensor, ops, scope } from '@paella/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../../tensor/test/helpers.js';
import { type ConditionInputs, Paella, type PaellaConfig } from '../src/index.js';
import { checkpoint, json, testDevice } from './helpers.js';

let device: Device;
let unet: Paella;
let tokens: Tensor;
let byt5: Tensor;
let clip: Tensor;

beforeAll(async () => {
  device = await testDevice();
  unet = new Paella(await json<PaellaConfig>('paella-tiny.json'), { device });
  await unet.loadStateDict(await checkpoint('paella-tiny.pt'));
  const rng = new Rng(4);
  tokens = rng.randint(device, 0, 48, [1, 8, 8]);
  byt5 = rng.normal(device, [1, 6, unet.config.byt5_embd]);
  clip = rng.normal(device, [1, unet.config.clip_embd]);
});

afterAll(() => unet.dispose());

const logits = (inputs: ConditionInputs): Promise<Float32Array> =>
  scope(async () => (await unet.forward(tokens, 0.5, inputs).data()) as Float32Array);

/** Rounding of sums over other numbers of keys. */
const tolerance = 1e-5;

describe('byt5Lengths', () => {
  it('hides padding also before the tokens of CLIP vectors', () =>
    scope(async () => {
      const short = byt5.slice(1, 0, 4);
      for (const more of [{}, { clip }, { clip, clipImage: [clip, clip] }]) {
        // Weights count from the end, and padding is not counted.
        for (const attnWeights of [undefined, [2], [0.4, 1.2, 0.5], [2, 0.4, 1.2, 0.5]]) {
          const expected = await logits({ byt5: short, ...more, attnWeights });
          const padded = { byt5, byt5Lengths: [4], ...more, attnWeights };
          expect(relativeError(await logits(padded), expected)).toBeLessThan(tolerance);
        }
      }
    }));

  it('and weights that do not fit are refused', () => {
    expect(() => unet.prepare([{ byt5, byt5Lengths: [7] }])).toThrow(/byt5Lengths/);
    expect(() => unet.prepare([{ byt5, byt5Lengths: [6, 6] }])).toThrow(/byt5Lengths/);
    const attnWeights = [1, 1, 1, 1, 1];
    expect(() => unet.prepare([{ byt5, byt5Lengths: [4], attnWeights }])).toThrow(
      /5 attention weights for 4/,
    );
  });
});

describe('byt5Presence', () => {
  it('is as if tokens were not there at 0, and changes nothing at 1', () =>
    scope(async () => {
      const whole = await logits({ byt5, clip });
      expect(await logits({ byt5, clip, byt5Presence: [1, 1, 1, 1, 1, 1] })).toEqual(whole);
      const some = ops.cat([byt5.slice(1, 0, 1), byt5.slice(1, 2, 4)], 1);
      const expected = await logits({ byt5: some, clip });
      const hidden = await logits({ byt5, clip, byt5Presence: [1, 0, 1, 1, 0, 0] });
      expect(relativeError(hidden, expected)).toBeLessThan(tolerance);
      expect(relativeError(hidden, whole)).toBeGreaterThan(100 * tolerance);
    }));

  it('makes two of a token at a half one of it', () =>
    scope(async () => {
      const one = byt5.slice(1, 0, 3);
      const doubled = ops.cat([one, byt5.slice(1, 2, 3)], 1);
      const expected = await logits({ byt5: one });
      const halves = await logits({ byt5: doubled, byt5Presence: [1, 1, 0.5, 0.5] });
      expect(relativeError(halves, expected)).toBeLessThan(tolerance);
    }));

  it('is refused where it does not fit', () => {
    expect(() => unet.prepare([{ byt5, byt5Presence: [1, 1] }])).toThrow(/byt5Presence/);
    expect(() => unet.prepare([{ byt5, byt5Presence: [1, 1, 1, 1, 1, 2] }])).toThrow(/byt5Presence/);
  });
});
