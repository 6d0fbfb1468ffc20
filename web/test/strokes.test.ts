import { describe, expect, it } from 'vitest';
import {
  type Mask,
  type MaskCommand,
  applyCommand,
  pixelsOf,
  imageOfMask,
  maskOfImage,
  tokensOf,
} from '../src/state/strokes.js';

const empty = (width: number, height: number): Mask => ({
  width,
  height,
  values: new Uint8Array(width * height),
});
const maskOf = (commands: MaskCommand[], width = 16, height = 8): Mask =>
  commands.reduce((mask, command) => applyCommand(mask, command), empty(width, height));
const area = ({ values }: Mask): number => values.reduce((sum, value) => sum + value, 0);

describe('strokes', () => {
  it('are as wide as the brush, with round ends, without gaps between points far apart', () => {
    const line = maskOf(
      [
        {
          kind: 'stroke',
          erase: false,
          diameter: 20,
          points: [
            [50, 50],
            [150, 90],
          ],
        },
      ],
      200,
      140,
    );
    const length = Math.hypot(100, 40);
    expect(area(line) / (20 * length + Math.PI * 100)).toBeCloseTo(1, 1);
    const middle = Math.round(70) * 200 + 100;
    expect([line.values[middle], line.values[middle + 200 * 15]]).toEqual([1, 0]);
  });

  it('end at the edge of the picture, wherever the pointer goes', () => {
    const outside = maskOf([
      {
        kind: 'stroke',
        erase: false,
        diameter: 4,
        points: [
          [-50, 4],
          [50, 4],
        ],
      },
    ]);
    expect(area(outside)).toBe(4 * 16);
  });

  it('erase what is under them, and leave the mask that they begin with as it was', () => {
    const full = maskOf([{ kind: 'fill' }]);
    const erased = applyCommand(full, { kind: 'square', erase: true, corner: [4, 4], side: 4 });
    expect([area(full), area(erased)]).toEqual([128, 112]);
    expect(area(applyCommand(erased, { kind: 'clear' }))).toBe(0);
  });

  it('draw the tokens that they cover by half or more', () => {
    const mask = maskOf([
      { kind: 'square', erase: false, corner: [2, 0], side: 4 }, // half of two tokens
      { kind: 'square', erase: false, corner: [9, 5], side: 2 }, // a quarter of one
    ]);
    const tokens = tokensOf(mask, 4);
    expect(tokens).toEqual({ width: 4, height: 2, values: Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0) });
    const image = imageOfMask(pixelsOf(tokens, 4));
    expect([image.width, image.height, ...image.data.subarray(0, 4)]).toEqual([16, 8, 255, 255, 255, 255]);
    expect([...image.data.subarray(4 * 8, 4 * 9)]).toEqual([0, 0, 0, 255]);
    expect(area(maskOfImage(image))).toBe(2 * 16);
  });

  it('are inverted as they are drawn, be it half of a token', () => {
    const half = maskOf([{ kind: 'square', erase: false, corner: [2, 0], side: 4 }]);
    const inverted = applyCommand(half, { kind: 'invert', factor: 4 });
    expect([...tokensOf(inverted, 4).values]).toEqual([0, 0, 1, 1, 1, 1, 1, 1]);
  });

  it('with the smallest brush draw a token wherever they are', () => {
    for (let at = 4; at < 8; at += 0.25) {
      const dot = maskOf([{ kind: 'stroke', erase: false, diameter: 8, points: [[at, at]] }], 16, 16);
      expect(area(tokensOf(dot, 4))).toBeGreaterThan(0);
    }
  });
});
