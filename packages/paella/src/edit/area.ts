import { PaellaError } from '@paella/tensor';
import type { RgbaImage } from '../image.js';
import { coverImage } from '../resize.js';

/** A rectangle in whole pixels, from the upper left corner. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A part of a picture: a rectangle, or a mask picture of the same size, white and opaque where the part is. */
export type Area = Box | RgbaImage;

/** How much of each pixel belongs to an area, row by row. */
interface Coverage {
  width: number;
  height: number;
  /** In [0,1]. */
  values: Float32Array;
}

/**
 * @param size width and height of the picture
 * @param from width and height that the picture had before it was scaled to cover `size`; a mask is scaled along with
 *   it, a box counts pixels of the result
 * @throws PaellaError `argument` for a box that leaves the picture, `shape` for a mask of another size
 */
function coverageOf(
  area: Area,
  [width, height]: readonly [number, number],
  from: readonly [number, number],
): Coverage {
  if (!('data' in area)) {
    const { x, y } = area;
    const [right, bottom] = [x + area.width, y + area.height];
    const fits = x >= 0 && y >= 0 && area.width > 0 && area.height > 0 && right <= width && bottom <= height;
    if (!fits || ![x, y, right, bottom].every(Number.isInteger)) {
      throw new PaellaError(
        'argument',
        `a box of ${area.width}×${area.height} at ${x},${y} does not lie in a picture of ${width}×${height}`,
        { fix: 'Give x, y, width and height as whole pixels inside of the picture.' },
      );
    }
    const values = new Float32Array(width * height);
    for (let row = y; row < bottom; row++) values.fill(1, row * width + x, row * width + right);
    return { width, height, values };
  }
  if (area.width !== from[0] || area.height !== from[1]) {
    throw new PaellaError(
      'shape',
      `the mask has ${area.width}×${area.height} pixels, the picture ${from[0]}×${from[1]}`,
      { fix: 'Draw the mask over the picture itself, in its size.' },
    );
  }
  const scaled = coverImage(greyOf(area), width, height);
  return {
    width,
    height,
    values: Float32Array.from({ length: width * height }, (_, i) => scaled.data[4 * i] / 255),
  };
}

/** An opaque picture of how white and opaque another one is (luma of Rec. 601 times alpha). */
function greyOf({ width, height, data }: RgbaImage): RgbaImage {
  const grey = new Uint8ClampedArray(data.length).fill(255);
  for (let i = 0; i < data.length; i += 4) {
    const luma = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    grey.fill((luma * data[i + 3]) / 255, i, i + 3);
  }
  return { width, height, data: grey };
}

/** Runs over the pixels of each token and returns a number for each, row by row. */
function perToken(
  { width, height, values }: Coverage,
  factor: number,
  reduce: (pixels: Float32Array) => number,
): number[] {
  const [columns, rows] = [width / factor, height / factor];
  const pixels = new Float32Array(factor * factor);
  return Array.from({ length: rows * columns }, (_, token) => {
    const start = Math.floor(token / columns) * factor * width + (token % columns) * factor;
    for (let row = 0; row < factor; row++) {
      pixels.set(values.subarray(start + row * width, start + row * width + factor), row * factor);
    }
    return reduce(pixels);
  });
}

/**
 * Which tokens have to be drawn anew so that an area changes: those with any pixel that belongs to it by half or more.
 *
 * @param size width and height of the picture, multiples of `factor`
 * @param options.factor side of a token in pixels
 * @param options.invert take what is outside of the area
 * @param options.from size of the picture before it was scaled to cover `size`
 * @returns 1 or 0 for each token, row by row
 * @throws PaellaError as {@link Area} demands, and `argument` if no token is left to draw
 */
export function tokenMask(
  area: Area,
  size: readonly [number, number],
  {
    factor,
    invert = false,
    from = size,
  }: { factor: number; invert?: boolean; from?: readonly [number, number] },
): Uint32Array<ArrayBuffer> {
  const coverage = coverageOf(area, size, from);
  const mask = perToken(coverage, factor, (pixels) =>
    Number(pixels.some((value) => (invert ? value < 0.5 : value >= 0.5))),
  );
  if (!mask.includes(1)) {
    const fix = 'Paint white, on opaque pixels, what is to be drawn anew; or invert the mask.';
    throw new PaellaError('argument', 'the mask leaves nothing to draw', { fix });
  }
  return Uint32Array.from(mask);
}

/**
 * Which share of each token an area covers.
 *
 * @param size width and height of the picture, multiples of `factor`
 * @param factor side of a token in pixels
 * @returns numbers in [0,1], row by row
 * @throws PaellaError as {@link Area} demands
 */
export function tokenShares(area: Area, size: readonly [number, number], factor: number): number[] {
  return perToken(
    coverageOf(area, size, size),
    factor,
    (pixels) => pixels.reduce((a, b) => a + b) / pixels.length,
  );
}

/**
 * Puts the pixels of the tokens that were kept back into a picture: a VQGAN's decoder returns them only nearly.
 *
 * @param original of the same size
 * @param mask 1 for each token that was drawn, row by row
 * @param factor side of a token in pixels
 */
export function restoreKept(
  drawn: RgbaImage,
  original: RgbaImage,
  mask: ArrayLike<number>,
  factor: number,
): RgbaImage {
  const { width, height } = drawn;
  const columns = width / factor;
  const data = drawn.data.slice();
  for (let y = 0; y < height; y++) {
    for (let column = 0; column < columns; column++) {
      if (mask[Math.floor(y / factor) * columns + column]) continue;
      const start = 4 * (y * width + column * factor);
      data.set(original.data.subarray(start, start + 4 * factor), start);
    }
  }
  return { width, height, data };
}
