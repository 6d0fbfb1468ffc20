import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { cancel, isDrawing } from '../state/drawing.js';
import { addShortcuts } from '../state/shortcuts.js';
import { later } from './later.js';

const List = later(async () => (await import('./shortcut-list.js')).ShortcutList);

const isShown = signal(false);
const always = signal(true);

addShortcuts([
  { label: 'Keyboard shortcuts', keys: '?', enabled: always, run: () => (isShown.value = true) },
]);

/** Escape stops also from the prompt, where other keys are for writing. A dialog that is open closes first. */
export function stopOnEscape(): void {
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && isDrawing.value && !document.querySelector('dialog[open]')) void cancel();
  });
}

/** Opens the list of all shortcuts. */
export function Shortcuts(): JSX.Element {
  return (
    <>
      <button
        type="button"
        class="quiet"
        aria-label="Keyboard shortcuts"
        aria-keyshortcuts="?"
        title="Keyboard shortcuts (?)"
        onClick={() => (isShown.value = true)}
      >
        ?
      </button>
      {isShown.value && <List onClose={() => (isShown.value = false)} />}
    </>
  );
}
