import { PaellaError, scope } from '@paella/tensor';
import type { RgbaImage } from '../image.js';
import type { GenerateOptions, Generation, Pipeline } from '../pipeline.js';
import { coverImage } from '../resize.js';
import { redraw } from './redraw.js';

/** A canvas around a picture, in pixels: its size and where the picture lies in it, or what is added on each side. */
export type Surroundings =
  | { size: readonly [number, number]; /** The middle by default. */ at?: readonly [number, number] }
  | { left?: number; right?: number; top?: number; bottom?: number };

export interface OutpaintOptions extends Omit<GenerateOptions, 'size'> {
  /** Scale and crop the picture to cover these pixels before it is placed. */
  imageSize?: readonly [number, number];
  /** Return the picture's own pixels instead of what the VQGAN makes of its tokens; the default. */
  keepPixels?: boolean;
}

interface Placement {
  /** Of the canvas, in pixels. */
  size: readonly [number, number];
  /** Of the picture's upper left corner in it. */
  at: readonly [number, number];
}

/**
 * Draws what lies around a picture. The picture's tokens are placed on a larger canvas and keep their value in every
 * step. Sides and places must divide into tokens; the canvas must be a multiple of `pipeline.sizeMultiple`.
 *
 * @param image transparency shows white
 * @throws PaellaError `argument` for a picture, place or canvas that does not divide, or does not hold the picture
 */
export async function outpaint(
  pipeline: Pipeline,
  image: RgbaImage,
  surroundings: Surroundings,
  prompt: string,
  { imageSize = [image.width, image.height], keepPixels = true, ...options }: OutpaintOptions = {},
): Promise<Generation> {
  const { factor } = pipeline.model;
  const { size, at } = placement(surroundings, imageSize, factor);
  const [height, width] = pipeline.tokenGrid(size);
  const picture = coverImage(image, ...imageSize);
  const [left, top, right, bottom] = [...at, at[0] + imageSize[0], at[1] + imageSize[1]].map(
    (n) => n / factor,
  );
  const inside = (token: number): boolean => {
    const [x, y] = [token % width, Math.floor(token / width)];
    return x >= left && x < right && y >= top && y < bottom;
  };
  const mask = Uint32Array.from({ length: width * height }, (_, token) => Number(!inside(token)));
  return scope(async () => {
    // Encoded alone: on a canvas, the encoder would see an edge where the picture ends.
    const encoded = await (await pipeline.encode([picture])).data();
    const tokens = new Uint32Array(width * height);
    for (let y = top; y < bottom; y++) {
      const row = encoded.subarray((y - top) * (right - left), (y - top + 1) * (right - left));
      tokens.set(row, y * width + left);
    }
    const canvas = {
      pixels: place(picture, size, at),
      tokens: pipeline.device.tensor(tokens, [1, height, width]),
      mask,
    };
    return redraw(pipeline, canvas, prompt, options, keepPixels);
  });
}

/**
 * The canvas and the place of a picture in it.
 *
 * @throws PaellaError `argument` for what does not divide into tokens or does not hold the picture
 */
export function placement(
  surroundings: Surroundings,
  [width, height]: readonly [number, number],
  factor: number,
): Placement {
  const refuse = (message: string, fix: string): never => {
    throw new PaellaError('argument', `outpaint: ${message}`, { fix });
  };
  const divides = (values: readonly number[]): boolean => values.every((value) => value % factor === 0);
  if (!divides([width, height])) {
    const nearest = [width, height].map((side) => Math.max(1, Math.round(side / factor)) * factor);
    refuse(
      `the picture's ${width}×${height} pixels do not divide into tokens of ${factor}×${factor}`,
      `Scale or crop it to ${nearest.join('×')}.`,
    );
  }
  let size: readonly [number, number];
  let at: readonly [number, number];
  if ('size' in surroundings) {
    size = surroundings.size;
    const middle = (canvas: number, side: number): number =>
      Math.floor((canvas - side) / 2 / factor) * factor;
    at = surroundings.at ?? [middle(size[0], width), middle(size[1], height)];
  } else {
    const { left = 0, right = 0, top = 0, bottom = 0 } = surroundings;
    size = [left + width + right, top + height + bottom];
    at = [left, top];
  }
  const [x, y] = at;
  if (!(x >= 0 && y >= 0 && x + width <= size[0] && y + height <= size[1])) {
    refuse(
      `a picture of ${width}×${height} at ${x},${y} does not lie in a canvas of ${size.join('×')}`,
      'Take a larger canvas or another place.',
    );
  }
  if (!divides(at)) {
    const nearest = at.map((value) => Math.round(value / factor) * factor);
    refuse(
      `the picture cannot lie at ${x},${y}, between tokens of ${factor}×${factor} pixels`,
      `Place it at ${nearest.join(',')}.`,
    );
  }
  if (width === size[0] && height === size[1]) {
    refuse(`the picture fills the canvas of ${size.join('×')}`, 'Take a larger canvas.');
  }
  return { size, at };
}

/** A picture on a white canvas. */
function place(
  picture: RgbaImage,
  [width, height]: readonly [number, number],
  [left, top]: readonly [number, number],
): RgbaImage {
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let y = 0; y < picture.height; y++) {
    const row = picture.data.subarray(4 * y * picture.width, 4 * (y + 1) * picture.width);
    data.set(row, 4 * ((top + y) * width + left));
  }
  return { width, height, data };
}
