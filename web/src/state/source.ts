import { batch, computed, signal } from '@preact/signals';
import type { RgbaImage } from 'paella';
import { type Size, cropPicture } from '../picture-file.js';
import { info } from './engine.js';
import { notify } from './notices.js';
import { settings } from './settings.js';
import { tool } from './tool.js';
import { problems } from './validation.js';

/** A picture that editing begins with. */
export interface Source {
  /** For people. */
  name: string;
  image: RgbaImage;
  /** What it is cropped from, and its size; null for a picture that was drawn here. */
  file: { blob: Blob; size: Size } | null;
}

/** One, or for Vary up to {@link MOST_SOURCES}. */
export const sources = signal<readonly Source[]>([]);
export const source = computed((): Source | null => sources.value[0] ?? null);

/** Pictures have condition tokens of their own each; the more there are, the less each counts. */
export const MOST_SOURCES = 4;

/** Takes a picture that was drawn here, and turns to a tool that edits it. */
export function editPicture(image: RgbaImage): void {
  take({ name: 'Drawn picture', image, file: null }, 'inpaint');
}

/** Replaces all by pictures that were drawn here. */
export function setSources(images: readonly RgbaImage[]): void {
  sources.value = images.map((image) => ({ name: 'Drawn picture', image, file: null }));
}

/** Takes pictures from files: the first, or for Vary as many as it can. */
export async function editFiles(files: readonly File[]): Promise<void> {
  await modelKnown();
  for (const blob of tool.value === 'vary' ? files : files.slice(0, 1)) {
    try {
      const { image, size } = await cropPicture(blob, (own) => cropsOf(own)[0]);
      take({ name: blob.name, image, file: { blob, size } }, 'morph');
    } catch {
      // Browsers say no more than that it did not work.
      const text = `This browser cannot read “${blob.name}” as a picture. Take a PNG, JPEG, WebP, GIF or AVIF file.`;
      notify({ kind: 'error', text });
    }
  }
}

/** Fulfils when there is a model, whose sizes pictures are cropped to. */
export function modelKnown(): Promise<void> {
  return new Promise((resolve) => {
    const stop = info.subscribe((now) => {
      if (!now) return;
      resolve();
      queueMicrotask(() => stop()); // the first call comes before there is something to stop
    });
  });
}

/** Crops the first picture's file anew. */
export async function cropSource(size: Size): Promise<void> {
  const [{ file, name }, ...others] = sources.value;
  if (!file) return;
  const { image } = await cropPicture(file.blob, () => size);
  sources.value = [{ name, image, file }, ...others];
}

export function removeSource(index: number): void {
  sources.value = sources.value.filter((_, i) => i !== index);
}

/**
 * Sizes that a picture can be cropped to, the best first: its own if it can be drawn, the model's, the one that is
 * nearest to its shape, and that of the form.
 */
export function cropsOf([width, height]: Size): Size[] {
  const { imageSize, sizeMultiple } = info.value!.model;
  const own = width % sizeMultiple === 0 && height % sizeMultiple === 0;
  const isSmall = width <= largestSide() && height <= largestSide();
  const scale = Math.min(...imageSize) / Math.min(width, height);
  const near = (side: number): number =>
    Math.min(largestSide(), Math.round((side * scale) / sizeMultiple) * sizeMultiple);
  const all: Size[] = [imageSize, [near(width), near(height)]];
  if (own && isSmall) all.unshift([width, height]);
  if (!problems.value.size) all.push(settings.value.size);
  return all.filter((one, i) => all.findIndex((other) => isSame(one, other)) === i);
}

/** Pixels of a side beyond which the model, made for smaller pictures, loses the thread. */
export const largestSide = (): number => 4 * Math.max(...info.value!.model.imageSize);

const isSame = (a: Size, b: Size): boolean => a[0] === b[0] && a[1] === b[1];

/** @param editor the tool to turn to, if the present one takes no picture */
function take(one: Source, editor: 'inpaint' | 'morph'): void {
  batch(() => {
    if (tool.value === 'draw' || tool.value === 'interpolate') tool.value = editor;
    if (tool.value !== 'vary') sources.value = [one];
    else if (sources.value.length < MOST_SOURCES) sources.value = [...sources.value, one];
    else notify({ kind: 'error', text: `${MOST_SOURCES} pictures are the most. Remove one first.` });
  });
}
