import type { RgbaImage } from 'paella';
import { enlarge } from '../files/enlarge.js';

/** The part of a picture that is drawn anew. */
export interface Mask {
  width: number;
  height: number;
  /** 1 for each pixel that belongs to it, row by row. */
  values: Uint8Array;
}

/** In pixels of the picture, from its upper left corner. */
export type Point = readonly [x: number, y: number];

/** What changes a mask; a mask is what a list of them makes of an empty one. */
export type MaskCommand =
  | { kind: 'stroke'; erase: boolean; diameter: number; points: readonly Point[] }
  | { kind: 'square'; erase: boolean; corner: Point; side: number }
  | { kind: 'replace'; values: Uint8Array }
  | { kind: 'fill' | 'clear' }
  /** Of whole tokens with a side of `factor` pixels: what is drawn, not what is painted. */
  | { kind: 'invert'; factor: number };

/** @returns another mask; the given one stays */
export function applyCommand({ width, height, values }: Mask, command: MaskCommand): Mask {
  const next = { width, height, values: values.slice() };
  switch (command.kind) {
    case 'stroke':
      command.points.forEach((end, i) => {
        const segment = [command.points[Math.max(0, i - 1)], end] as const;
        setPixels(next, boundsOf(segment, command.diameter / 2), command.erase, (centre) =>
          isNear(centre, segment, command.diameter / 2),
        );
      });
      break;
    case 'square': {
      const { corner, side, erase } = command;
      setPixels(next, { from: corner, to: [corner[0] + side, corner[1] + side] }, erase, () => true);
      break;
    }
    case 'replace':
      next.values.set(command.values);
      break;
    case 'fill':
      next.values.fill(1);
      break;
    case 'clear':
      next.values.fill(0);
      break;
    case 'invert':
      next.values.set(
        pixelsOf(tokensOf(next, command.factor), command.factor).values.map((value) => 1 - value),
      );
      break;
    default:
      throw new TypeError(`no such command: ${(command satisfies never as MaskCommand).kind}`);
  }
  return next;
}

/**
 * Which tokens are drawn for a mask: those of which it covers half or more, so that erasing is as exact as painting.
 *
 * @param factor side of a token in pixels
 * @returns a mask whose pixels are tokens
 */
export function tokensOf({ width, height, values }: Mask, factor: number): Mask {
  const tokens = { width: width / factor, height: height / factor };
  const covered = new Uint16Array(tokens.width * tokens.height);
  values.forEach((value, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    covered[Math.floor(y / factor) * tokens.width + Math.floor(x / factor)] += value;
  });
  return { ...tokens, values: Uint8Array.from(covered, (pixels) => Number(2 * pixels >= factor ** 2)) };
}

/** The pixels of tokens. */
export function pixelsOf({ width, height, values }: Mask, factor: number): Mask {
  return { width: width * factor, height: height * factor, values: enlarge(values, width, 1, factor) };
}

/** A picture of a mask, white and opaque where it is, as the engine takes it. */
export function imageOfMask({ width, height, values }: Mask): RgbaImage {
  const data = new Uint8ClampedArray(4 * values.length).fill(255);
  values.forEach((value, i) => data.fill(255 * value, 4 * i, 4 * i + 3));
  return { width, height, data };
}

/** The mask that a picture of it shows. */
export function maskOfImage({ width, height, data }: RgbaImage): Mask {
  return {
    width,
    height,
    values: Uint8Array.from({ length: width * height }, (_, i) => Number(data[4 * i] >= 128)),
  };
}

interface Bounds {
  from: Point;
  to: Point;
}

function boundsOf([[ax, ay], [bx, by]]: readonly [Point, Point], margin: number): Bounds {
  return {
    from: [Math.min(ax, bx) - margin, Math.min(ay, by) - margin],
    to: [Math.max(ax, bx) + margin, Math.max(ay, by) + margin],
  };
}

/** Sets, or with `erase` clears, the pixels of a rectangle whose centres are inside. */
function setPixels(
  { width, height, values }: Mask,
  { from, to }: Bounds,
  erase: boolean,
  isInside: (centre: Point) => boolean,
): void {
  const right = Math.min(width, Math.ceil(to[0]));
  const bottom = Math.min(height, Math.ceil(to[1]));
  for (let y = Math.max(0, Math.floor(from[1])); y < bottom; y++) {
    for (let x = Math.max(0, Math.floor(from[0])); x < right; x++) {
      if (isInside([x + 0.5, y + 0.5])) values[y * width + x] = erase ? 0 : 1;
    }
  }
}

function isNear([x, y]: Point, [[ax, ay], [bx, by]]: readonly [Point, Point], radius: number): boolean {
  const [dx, dy] = [bx - ax, by - ay];
  const along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1);
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(x - ax - t * dx, y - ay - t * dy) <= radius;
}
