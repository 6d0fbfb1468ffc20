/** What the applications are made of, without a model. */
import { Device, scope } from '@paella/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import { restoreKept, tokenMask, tokenShares } from '../src/edit/area.js';
import { blend, lerp, readCondition, slerp, writeCondition } from '../src/edit/blend.js';
import { beginning } from '../src/edit/morph.js';
import { placement } from '../src/edit/outpaint.js';
import { regionShares } from '../src/edit/regions.js';
import type { RgbaImage } from '../src/index.js';
import { testDevice } from './helpers.js';

/** A picture from a function that gives the grey and the opacity of a pixel. */
function picture(width: number, height: number, at: (x: number, y: number) => [number, number?]): RgbaImage {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < width * height; i++) {
    const [grey, alpha = 255] = at(i % width, Math.floor(i / width));
    data.set([grey, grey, grey, alpha], 4 * i);
  }
  return { width, height, data };
}

describe('tokenMask', () => {
  const size = [12, 8] as const;
  const mask = (area: Parameters<typeof tokenMask>[0], invert = false): number[] =>
    Array.from(tokenMask(area, size, { factor: 4, invert }));

  it('takes every token that a box touches', () => {
    expect(mask({ x: 3, y: 0, width: 2, height: 4 })).toEqual([1, 1, 0, 0, 0, 0]);
    expect(mask({ x: 8, y: 7, width: 4, height: 1 })).toEqual([0, 0, 0, 0, 0, 1]);
    expect(mask({ x: 0, y: 0, width: 12, height: 8 })).toEqual([1, 1, 1, 1, 1, 1]);
    expect(mask({ x: 1, y: 1, width: 7, height: 7 }, true)).toEqual([1, 1, 1, 1, 0, 1]);
  });

  it('takes every token with a pixel that is white and opaque', () => {
    expect(mask(picture(12, 8, (x, y) => [x === 5 && y === 6 ? 255 : 0]))).toEqual([0, 0, 0, 0, 1, 0]);
    expect(mask(picture(12, 8, (x) => [255, x < 4 ? 255 : 0]))).toEqual([1, 0, 0, 1, 0, 0]);
    expect(mask(picture(12, 8, (x) => [x < 4 ? 127 : 128]))).toEqual([0, 1, 1, 0, 1, 1]);
    expect(
      mask(
        picture(12, 8, (x) => [x < 4 ? 127 : 128]),
        true,
      ),
    ).toEqual([1, 0, 0, 1, 0, 0]);
  });

  it('scales a mask along with its picture', () => {
    const half = picture(24, 16, (x) => [x < 12 ? 255 : 0]);
    const options = { factor: 4, from: [24, 16] } as const;
    expect(Array.from(tokenMask(half, [16, 8], options))).toEqual([1, 1, 0, 0, 1, 1, 0, 0]);
  });

  it('says what is wrong with an area', () => {
    expect(() => mask({ x: 8, y: 0, width: 5, height: 4 })).toThrow(
      /box of 5×4 at 8,0 does not lie in a picture of 12×8/,
    );
    expect(() => mask({ x: 0.5, y: 0, width: 4, height: 4 })).toThrow(/whole pixels/);
    expect(() => mask({ x: 0, y: 0, width: 0, height: 4 })).toThrow(/does not lie/);
    expect(() => mask(picture(12, 9, () => [255]))).toThrow(/12×9 pixels, the picture 12×8/);
    expect(() => mask(picture(12, 8, () => [0]))).toThrow(/leaves nothing to draw/);
    expect(() => mask({ x: 0, y: 0, width: 12, height: 8 }, true)).toThrow(/leaves nothing to draw/);
  });
});

describe('tokenShares', () => {
  it('measures how much of each token is covered', () => {
    expect(tokenShares({ x: 2, y: 0, width: 4, height: 2 }, [8, 4], 4)).toEqual([0.25, 0.25]);
    const [left, right] = tokenShares(
      picture(8, 4, (x) => [x < 4 ? 51 : 255]),
      [8, 4],
      4,
    );
    expect([left, right]).toEqual([expect.closeTo(0.2), 1]);
  });
});

describe('restoreKept', () => {
  it('puts back the pixels of kept tokens, and no others', () => {
    const kept = restoreKept(
      picture(8, 4, () => [9]),
      picture(8, 4, (x, y) => [100 + x + y]),
      [0, 1],
      4,
    );
    const grey = Array.from({ length: 32 }, (_, i) => kept.data[4 * i]);
    const [first, second] = [grey.slice(0, 8), grey.slice(8, 16)];
    expect(first).toEqual([100, 101, 102, 103, 9, 9, 9, 9]);
    expect(second).toEqual([101, 102, 103, 104, 9, 9, 9, 9]);
  });
});

describe('placement', () => {
  it('lays a picture in the middle, at a place, or inside of margins', () => {
    expect(placement({ size: [64, 32] }, [32, 32], 4)).toEqual({ size: [64, 32], at: [16, 0] });
    expect(placement({ size: [48, 36] }, [36, 32], 4)).toEqual({ size: [48, 36], at: [4, 0] });
    expect(placement({ size: [64, 32], at: [32, 0] }, [32, 32], 4)).toMatchObject({ at: [32, 0] });
    expect(placement({ left: 8, bottom: 16 }, [32, 32], 4)).toEqual({ size: [40, 48], at: [8, 0] });
  });

  it.each([
    [{ size: [64, 32] }, [30, 32], /30×32 pixels do not divide .* Scale or crop it to 32×32/],
    [{ size: [16, 32] }, [32, 32], /does not lie in a canvas of 16×32/],
    [{ size: [64, 64], at: [40, 0] }, [32, 32], /at 40,0 does not lie/],
    [{ size: [64, 64], at: [6, 0] }, [32, 32], /cannot lie at 6,0.* Place it at 8,0/],
    [{ left: -4, right: 8 }, [32, 32], /does not lie/],
    [{}, [32, 32], /fills the canvas/],
  ] as const)('refuses %j', (surroundings, size, message) => {
    expect(() => placement(surroundings, size, 4)).toThrow(message);
  });
});

describe('beginning', () => {
  const schedule = { steps: 12, renoiseSteps: 11, temperature: 1, cfg: null };

  it('is a share of noise', () => {
    expect(beginning(schedule, {})).toEqual({ ...schedule, tStart: expect.closeTo(0.866, 3) });
    expect(beginning(schedule, { strength: 0.5 })).toEqual({ ...schedule, tStart: 0.5 });
    expect(() => beginning(schedule, { strength: 0 })).toThrow(/above 0 and at most 1/);
  });

  it('or a step, with what is left of the schedule', () => {
    const long = {
      steps: 25,
      renoiseSteps: 20,
      temperature: [1.2, 0.2],
      cfg: 4,
      conditionalSteps: 6,
    } as const;
    expect(beginning(long, { startStep: 6 })).toEqual({
      tStart: expect.closeTo(19 / 25),
      steps: 19,
      renoiseSteps: 14,
      temperature: [expect.closeTo(0.95), 0.2],
      cfg: 4,
      conditionalSteps: 0,
    });
    expect(() => beginning(schedule, { startStep: 12 })).toThrow(/from 0 to 11/);
    expect(() => beginning(schedule, { startStep: 1, strength: 1 })).toThrow(/two ways/);
  });
});

describe('regionShares', () => {
  it('gives each token its mixture, later regions over earlier ones', () => {
    const shares = regionShares(['horizontal', { x: 16, y: 0, width: 4, height: 4 }], [20, 4], [1, 5]);
    expect(shares.map((one) => Array.from(one))).toEqual([
      [0, 0.25, 0.5, 0.75, 0],
      [0, 0, 0, 0, 1],
    ]);
    expect(Array.from(regionShares(['vertical'], [8, 12], [3, 2])[0])).toEqual([0, 0, 0.5, 0.5, 1, 1]);
    expect(Array.from(regionShares(['vertical'], [8, 4], [1, 2])[0])).toEqual([0, 0]);
  });
});

describe('lerp and slerp', () => {
  const length = (v: ArrayLike<number>): number => Math.hypot(...Array.from(v));

  it('reach both ends', () => {
    const [a, b] = [Float32Array.of(1, 2, 3), Float32Array.of(-2, 0, 5)];
    for (const mix of [lerp, slerp]) {
      [...mix(a, b, 0)].forEach((value, i) => expect(value).toBeCloseTo(a[i], 6));
      [...mix(a, b, 1)].forEach((value, i) => expect(value).toBeCloseTo(b[i], 6));
    }
    expect([...lerp(a, b, 0.25)]).toEqual([0.25, 1.5, 3.5]);
  });

  it('slerp keeps unit vectors at unit length and turns at an even speed', () => {
    const [a, b] = [Float32Array.of(1, 0, 0), Float32Array.of(0, 0.6, 0.8)];
    for (const t of [0.1, 0.3, 0.5, 0.9]) {
      const mixed = slerp(a, b, t);
      expect(length(mixed)).toBeCloseTo(1, 6);
      expect(Math.acos(mixed[0])).toBeCloseTo((t * Math.PI) / 2, 5);
    }
  });

  it('slerp goes straight where there is no one arc', () => {
    const a = Float32Array.of(0, 2);
    expect([...slerp(a, Float32Array.of(0, 4), 0.5)]).toEqual([0, 3]);
    expect([...slerp(a, Float32Array.of(0, -2), 0.25)]).toEqual([0, 1]);
    expect([...slerp(a, Float32Array.of(0, 0), 0.5)].every(Number.isFinite)).toBe(true);
  });
});

describe('blend', () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });

  const rows = (...values: number[]): Float32Array[] => values.map((value) => Float32Array.of(value, 1));

  it('pairs tokens in order, and lets the others fade', () => {
    const [a, b] = [
      { byt5: rows(0, 0, 0), images: [] },
      { byt5: rows(4), images: [] },
    ];
    expect(blend(a, b, 0.25, 'lerp')).toMatchObject({ byt5: rows(1, 0, 0), presence: [1, 0.75, 0.75] });
    expect(blend(b, a, 0.25, 'lerp')).toMatchObject({ byt5: rows(3, 0, 0), presence: [1, 0.25, 0.25] });
    expect(blend(b, b, 0.25, 'lerp').presence).toBeUndefined();
  });

  it("mixes CLIP's vectors and attention factors", () =>
    scope(async () => {
      const inputs = (byt5: number[], value: number, attnWeights?: number[]) => ({
        byt5: device.tensor(Float32Array.from(byt5), [1, byt5.length, 1]),
        clip: device.tensor([value, 0], [1, 2]),
        clipImage: [device.tensor([0, value], [1, 2])],
        attnWeights,
      });
      // Two tokens a vector; factors count from the end.
      const a = await readCondition(inputs([1], 4, [3, 1, 1, 1, 5]), 2);
      const b = await readCondition(inputs([2, 2], 8), 2);
      expect(a.weights).toEqual([3, 1, 1, 1, 5]);
      expect((await readCondition(inputs([1, 1], 4, [7]), 2)).weights).toEqual([1, 1, 1, 1, 1, 7]);
      const written = writeCondition(device, blend(a, b, 0.5, 'lerp'));
      expect(written.byt5.shape).toEqual([1, 2, 1]);
      expect(Array.from(await written.byt5.data())).toEqual([1.5, 2]);
      expect(Array.from(await written.clip!.data())).toEqual([6, 0]);
      const [image] = [written.clipImage!].flat();
      expect(Array.from(await image.data())).toEqual([0, 6]);
      expect(written.attnWeights).toEqual([2, 1, 1, 1, 1, 3]);
      expect(written.byt5Presence).toEqual([1, 0.5]);
    }));

  it('refuses ends of different kinds', () => {
    const [a, b] = [
      { byt5: rows(0), images: [] },
      { byt5: rows(0), images: rows(1) },
    ];
    expect(() => blend(a, b, 0.5, 'lerp')).toThrow(/0 images and no text vector and 1 images/);
  });
});
