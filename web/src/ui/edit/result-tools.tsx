import type { JSX } from 'preact';
import { before, isComparing } from '../../state/comparison.js';
import { editShown } from '../../state/edit-actions.js';
import { ActionButton } from './action-button.js';

/** What can be done with the picture on the stage, beyond keeping it. */
export function ResultTools(): JSX.Element {
  return (
    <>
      <ActionButton action={editShown} />
      {before.value && (
        <button
          type="button"
          title="Compare with the picture that it began with"
          aria-pressed={isComparing.value}
          onClick={() => (isComparing.value = !isComparing.value)}
        >
          Compare
        </button>
      )}
    </>
  );
}
