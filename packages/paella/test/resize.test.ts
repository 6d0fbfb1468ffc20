import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coverImage, type RgbaImage } from '../src/index.js';

/** A picture of `value(x, y)` in every channel. */
function picture(width: number, height: number, value: (x: number, y: number) => number): RgbaImage {
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++)
    data.fill(value(i % width, Math.floor(i / width)), i * 4, i * 4 + 3);
  return { width, height, data };
}

const red = ({ width, data }: RgbaImage, x: number, y: number): number => data[(y * width + x) * 4];

describe('coverImage', () => {
  it('keeps a picture that has the size', () => {
    const image = picture(7, 5, (x, y) => x * 30 + y);
    expect(coverImage(image, 7, 5)).toEqual(image);
  });

  it('keeps an even colour at any size', () => {
    const side = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(side, side, side, side, fc.nat(255), (w, h, width, height, value) => {
        expect(
          coverImage(
            picture(w, h, () => value),
            width,
            height,
          ),
        ).toEqual(picture(width, height, () => value));
      }),
      { numRuns: 50 },
    );
  });

  it('averages what it shrinks, and crops to the middle', () => {
    // Thirds of black, a fine checkerboard and white: only the middle third is left.
    const wide = picture(48, 16, (x, y) => (x < 16 ? 0 : x < 32 ? ((x + y) % 2) * 255 : 255));
    const small = coverImage(wide, 4, 4);
    expect(red(small, 1, 1)).toBeGreaterThan(120);
    expect(red(small, 2, 2)).toBeLessThan(135);
  });

  it('goes evenly from pixel to pixel when it enlarges', () => {
    const image = coverImage(
      picture(2, 2, (x) => x * 200),
      8,
      8,
    );
    const row = Array.from({ length: 8 }, (_, x) => red(image, x, 3));
    expect(row).toEqual([0, 0, 25, 75, 125, 175, 200, 200]);
  });

  it('shows white through what is transparent', () => {
    const clear = { width: 4, height: 4, data: new Uint8ClampedArray(64) };
    expect(red(coverImage(clear, 2, 2), 0, 0)).toBe(255);
  });
});
