import { describe, expect, it } from 'vitest';
import {
  type Mask,
  type MaskCommand,
  applyCommand,
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
    expect(area(applyCommand(erased, { kind: 'invert' }))).toBe(16);
    expect(area(applyCommand(erased, { kind: 'clear' }))).toBe(0);
  });

  it('draw every token that they reach, be it with a pixel', () => {
    const mask = maskOf([
      { kind: 'stroke', erase: false, diameter: 2, points: [[4, 1]] },
      { kind: 'square', erase: false, corner: [15, 7], side: 4 },
    ]);
    expect([...tokensOf(mask, 4)]).toEqual([1, 1, 0, 0, 0, 0, 0, 1]);
  });

  it('survive as a picture, white and opaque where something is drawn', () => {
    const mask = maskOf([{ kind: 'square', erase: false, corner: [3, 2], side: 2 }]);
    const { data } = imageOfMask(mask);
    expect([...data.subarray(4 * 35, 4 * 36)]).toEqual([255, 255, 255, 255]);
    expect([...data.subarray(0, 4)]).toEqual([0, 0, 0, 255]);
    expect(maskOfImage({ ...mask, data })).toEqual(mask.values);
  });
});
