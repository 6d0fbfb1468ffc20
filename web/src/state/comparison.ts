import { computed, signal } from '@preact/signals';
import type { RgbaImage } from 'paella';
import { shown, shownImage } from './stage.js';

/** Whether the picture on the stage lies under the one that it began with. */
export const isComparing = signal(false);

/** What the picture on the stage was made from, if it was made from one of its size. */
export const before = computed((): RgbaImage | null => {
  const subject = shown.value?.request.subject;
  const after = shownImage.value;
  if (!after || (subject?.kind !== 'inpaint' && subject?.kind !== 'morph')) return null;
  const { image } = subject;
  return image.width === after.width && image.height === after.height ? image : null;
});
