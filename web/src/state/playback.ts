import { computed, effect, signal } from '@preact/signals';
import { shownPicture, shownStep } from './drawing.js';
import { shown } from './stage.js';

/** How long a frame is shown. For those who asked for less motion, what they start themselves can be followed. */
export const frameMs = (): number => (matchMedia('(prefers-reduced-motion: reduce)').matches ? 1000 : 160);

/** Whether the steps of the picture on the stage go by. */
export const isPlaying = signal(false);

/** Steps that can be shown of the picture on the stage. */
const stepsThere = (): number => shown.peek()?.trails[shownPicture.peek()]?.images.length ?? 0;

/** From the shown step on, or from the first if the last is shown. */
export function play(): void {
  if (shownStep.value === null || shownStep.value >= stepsThere() - 1) shownStep.value = 0;
  isPlaying.value = true;
}

export function pause(): void {
  isPlaying.value = false;
}

/** Shows a step, from 0; the last one follows what is drawn. */
export function showStep(step: number): void {
  shownStep.value = step >= stepsThere() - 1 ? null : Math.max(0, step);
}

effect(() => {
  if (!isPlaying.value) return undefined;
  const timer = setInterval(() => {
    if (shownStep.value === null) pause();
    else showStep(shownStep.value + 1);
  }, frameMs());
  return () => clearInterval(timer);
});

/** Another picture stands still. */
const shownRequest = computed(() => shown.value?.request);
effect(() => {
  if (shownRequest.value) pause();
});
