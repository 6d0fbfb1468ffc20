import { computed, signal } from '@preact/signals';
import type { RgbaImage } from 'paella';
import { info } from './engine.js';
import { source } from './source.js';
import { type Mask, type MaskCommand, applyCommand, tokensOf } from './strokes.js';

/** What paints: `size` is the brush's diameter in tokens. */
export const brush = signal({ erase: false, size: 3 });
/** Smaller ones would cover half of no token where four of them meet. */
export const SMALLEST_BRUSH = 2;
export const LARGEST_BRUSH = 12;

/** What was done to the mask of a picture. */
interface History {
  image: RgbaImage | null;
  done: readonly MaskCommand[];
  undone: readonly MaskCommand[];
}

const latest = signal<History>({ image: null, done: [], undone: [] });

/** Another picture begins with a clear mask. */
const history = computed((): History => {
  const image = source.value?.image ?? null;
  return latest.value.image === image ? latest.value : { image, done: [], undone: [] };
});

/** The stroke under the pointer. */
export const stroke = signal<(MaskCommand & { kind: 'stroke' }) | null>(null);

export const canUndo = computed(() => history.value.done.length > 0);
export const canRedo = computed(() => history.value.undone.length > 0);

const finished = computed((): Mask | null => {
  const { image, done } = history.value;
  if (!image) return null;
  const { width, height } = image;
  const empty: Mask = { width, height, values: new Uint8Array(width * height) };
  return done.reduce((mask, command) => applyCommand(mask, command), empty);
});

/** What is painted over the source, if there is one. */
export const mask = computed(
  () => finished.value && (stroke.value ? applyCommand(finished.value, stroke.value) : finished.value),
);

/** The tokens that are drawn for it. */
export const maskTokens = computed(() =>
  mask.value && info.value ? tokensOf(mask.value, info.value.model.factor) : null,
);

/** Changes the mask, in a way that {@link undo} takes back. */
export function paint(command: MaskCommand): void {
  const { image, done } = history.value;
  latest.value = { image, done: [...done, command], undone: [] };
}

export function undo(): void {
  const { image, done, undone } = history.value;
  if (done.length > 0) {
    latest.value = { image, done: done.slice(0, -1), undone: [...undone, done.at(-1)!] };
  }
}

export function redo(): void {
  const { image, done, undone } = history.value;
  if (undone.length > 0) {
    latest.value = { image, done: [...done, undone.at(-1)!], undone: undone.slice(0, -1) };
  }
}

export function resizeBrush(by: number): void {
  const size = Math.min(LARGEST_BRUSH, Math.max(SMALLEST_BRUSH, brush.value.size + by));
  brush.value = { ...brush.value, size };
}
