import { batch, computed, effect, signal } from '@preact/signals';
import type { RgbaImage } from 'paella';
import * as engine from '../engine/client.js';
import { type Drawing, drawing, shownPicture, shownStep } from './drawing.js';
import { phase } from './engine.js';
import { type Kept, detailsOf, pictures } from './gallery.js';
import { keptId } from './keeping.js';
import { notify } from './notices.js';

/** A picture of the gallery that lies on the stage, as if it had just been drawn. */
export const opened = signal<{ kept: Kept; drawing: Drawing } | null>(null);

/** What lies on the stage: the opened picture, else what is drawn or was drawn last. */
export const shown = computed<Drawing | null>(() => opened.value?.drawing ?? drawing.value);

/** What the gallery has of the picture on the stage; null before it is finished, and after it is deleted. */
export const shownKept = computed<Kept | null>(() => {
  const now = shown.value;
  const id = opened.value?.kept.id ?? (now && keptId(now.request, shownPicture.value));
  return pictures.value?.find((kept) => kept.id === id) ?? null;
});

/** The picture on the stage, after the shown step; undefined before the first. */
export const shownImage = computed<RgbaImage | undefined>(() => {
  const { result, trails } = shown.value ?? {};
  const images = trails?.[shownPicture.value]?.images ?? [];
  if (shownStep.value !== null) return images[shownStep.value];
  return result?.images[shownPicture.value] ?? images.at(-1);
});

/** The steps of the pictures that were opened last, decoded. */
const decoded = new Map<string, RgbaImage[]>();
const DECODED_PICTURES = 20;

/** What is drawn takes the stage, but only when it begins. */
const begun = computed(() => drawing.value?.request);
effect(() => {
  if (begun.value) close();
});

/** Back to what is drawn, or was drawn last. */
export function close(): void {
  if (!opened.peek()) return;
  batch(() => {
    opened.value = null;
    shownPicture.value = 0;
    shownStep.value = null;
  });
}

/** Lays a picture of the gallery on the stage: at once as it is, then with its steps. */
export async function open(kept: Kept): Promise<void> {
  const details = await detailsOf(kept);
  if (!details) {
    notify({ kind: 'error', text: 'The picture is gone: it was deleted in another tab.' });
    return;
  }
  const tokens = details.tokens.map((step) => Uint32Array.from(step));
  const { request } = details;
  const { grid, seconds, settings, id } = kept;
  const result = { images: [await imageOf(kept.png)], tokens: [tokens.at(-1)!], grid, seconds };
  const show = (images: RgbaImage[]): void => {
    opened.value = {
      kept,
      drawing: {
        request,
        trails: [{ images, tokens }],
        steps: tokens.length,
        result: { ...result, seed: settings.seed },
        trouble: null,
      },
    };
  };
  batch(() => {
    shownPicture.value = 0;
    shownStep.value = null;
    show(decoded.get(id) ?? []);
  });
  if (decoded.has(id)) return;
  await ready();
  try {
    decoded.set(id, await engine.decode(tokens, grid));
    if (decoded.size > DECODED_PICTURES) decoded.delete(decoded.keys().next().value!);
  } catch {
    return; // another model, or none: the picture itself is there
  }
  if (opened.peek()?.kept.id === id) show(decoded.get(id)!);
}

/** The pixels of a picture file. */
export async function imageOf(file: Blob): Promise<RgbaImage> {
  const bitmap = await createImageBitmap(file);
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

/** Fulfils when the engine can be asked. */
function ready(): Promise<void> {
  return new Promise((resolve) => {
    const stop = phase.subscribe(({ kind }) => {
      if (kind !== 'ready') return;
      resolve();
      queueMicrotask(() => stop()); // the first call comes before there is something to stop
    });
  });
}
