import { computed, effect, signal } from '@preact/signals';
import { info } from './engine.js';
import { largestSide, source } from './source.js';

export const sideNames = ['left', 'right', 'top', 'bottom'] as const;
export type SideName = (typeof sideNames)[number];
export type Sides = Record<SideName, number>;

const none: Sides = { left: 0, right: 0, top: 0, bottom: 0 };

/** Pixels that Outpaint adds on each side of the source. */
export const sides = signal<Sides>(none);

/** Width and height of the canvas that they make. */
export const canvasSize = computed((): [number, number] => {
  const { width, height } = source.value?.image ?? { width: 0, height: 0 };
  const { left, right, top, bottom } = sides.value;
  return [left + width + right, top + height + bottom];
});

/** Sets sides, each to the nearest number of pixels that divides into tokens and fits. */
export function extend(part: Partial<Sides>): void {
  const next = { ...sides.peek() };
  for (const name of sideNames) {
    next[name] = Math.min(roomAt(name, next), toMultiple(part[name] ?? next[name]));
  }
  sides.value = next;
}

/** The most pixels that a side can have beside its opposite. */
export function roomAt(name: SideName, { left, right, top, bottom } = sides.value): number {
  if (!source.value) return 0;
  const { width, height } = source.value.image;
  const opposite = { left: right, right: left, top: bottom, bottom: top }[name];
  const length = name === 'left' || name === 'right' ? width : height;
  return Math.max(0, largestSide() - length - opposite);
}

/** Usual canvases. */
export const canvasPresets: readonly { label: string; sides: (width: number, height: number) => Sides }[] = [
  { label: 'Double width', sides: (width) => ({ ...none, left: width / 2, right: width / 2 }) },
  { label: 'Double height', sides: (_, height) => ({ ...none, top: height / 2, bottom: height / 2 }) },
  {
    label: 'Frame around',
    sides: (width, height) => {
      const margin = Math.min(width, height) / 4;
      return { left: margin, right: margin, top: margin, bottom: margin };
    },
  },
  { label: 'None', sides: () => none },
];

function toMultiple(pixels: number): number {
  const { sizeMultiple } = info.value!.model;
  return Math.max(0, Math.round(pixels / sizeMultiple) * sizeMultiple || 0);
}

/** Another picture may leave less room. */
effect(() => {
  if (source.value && info.value) extend({});
});
