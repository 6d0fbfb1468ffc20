import type { JSX } from 'preact';
import { type Action, keyText } from '../../state/shortcuts.js';

/**
 * A button for what a key does too. Where it does nothing now, it keeps the focus, which a disabled button would lose in
 * the middle of undoing.
 *
 * @param pressed for a button that stays down
 */
export function ActionButton({ action, pressed }: { action: Action; pressed?: boolean }): JSX.Element {
  const { label, keys, enabled, run } = action;
  return (
    <button
      type="button"
      title={`${label} (${keyText(action)})`}
      aria-keyshortcuts={keys}
      aria-pressed={pressed}
      aria-disabled={!enabled.value}
      onClick={() => {
        if (enabled.value) run();
      }}
    >
      {label}
    </button>
  );
}
