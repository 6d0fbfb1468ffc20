import type { JSX } from 'preact';
import { keyText, shortcuts, singleKeys, useSingleKeys } from '../state/shortcuts.js';
import { Dialog } from './dialog.js';

/** What the form, the scrubber and lists do by themselves. */
const builtIn: readonly [keys: string, label: string][] = [
  ['Enter', 'Generate, from the prompt'],
  ['Ctrl+Enter', 'Generate, from anywhere in the form; Cmd on a Mac'],
  ['← →', 'Another step, picture or tab, by the focus'],
  ['Delete', 'Delete the picture, in the gallery'],
];

/** All keys that do something. */
export function ShortcutList({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
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
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
