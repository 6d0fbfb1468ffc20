import { effect } from '@preact/signals';
import { running } from '../engine/client.js';
import { drawing, isDrawing, progress } from './drawing.js';

const TITLE = document.title;

/** Tells readers in other tabs how far it is, and asks those who close this one while it is at work. */
export function watchAbsence(): void {
  effect(() => {
    document.title = `${state()}${TITLE}`;
  });
  addEventListener('visibilitychange', () => {
    // Back again: there is nothing to tell any more.
    if (!document.hidden && !isDrawing.value) document.title = TITLE;
  });
  addEventListener('beforeunload', (event) => {
    if (running.value > 0) event.preventDefault();
  });
}

function state(): string {
  if (isDrawing.value) return `${Math.round(100 * progress.value)} % · `;
  if (!document.hidden || !drawing.value) return '';
  return drawing.value.result ? 'Done · ' : 'Stopped · ';
}
