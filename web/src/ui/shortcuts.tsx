import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { cancel, isDrawing } from '../state/drawing.js';
import { addShortcuts, keyText, shortcuts, singleKeys, useSingleKeys } from '../state/shortcuts.js';
import { Dialog } from './dialog.js';

const isShown = signal(false);
const always = signal(true);

/** What the form, the scrubber and lists do by themselves. */
const builtIn: readonly [keys: string, label: string][] = [
  ['Enter', 'Generate, from the prompt'],
  ['Ctrl+Enter', 'Generate, from anywhere in the form; Cmd on a Mac'],
  ['← →', 'Another step, picture or tab, by the focus'],
  ['Delete', 'Delete the picture, in the gallery'],
];

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
      {isShown.value && <List />}
    </>
  );
}

function List(): JSX.Element {
  const close = (): void => {
    isShown.value = false;
  };
  return (
    <Dialog title="Keyboard shortcuts" onClose={close}>
      <dl class="shortcuts">
        {[
          ...builtIn,
          ['Esc', 'Stop'] as const,
          ...shortcuts.value.map((action) => [keyText(action), action.label] as const),
        ].map(([keys, label]) => (
          <div key={label}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{label}</dd>
          </div>
        ))}
      </dl>
      <label>
        <input
          type="checkbox"
          checked={singleKeys.value}
          onChange={(event) => useSingleKeys(event.currentTarget.checked)}
        />{' '}
        Single letters are shortcuts
      </label>
      <div class="row">
        <button type="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
