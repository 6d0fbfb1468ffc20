import type { JSX } from 'preact';
import { before, isComparing } from '../../state/comparison.js';
import { editShown } from '../../state/edit-actions.js';
import { shown } from '../../state/stage.js';
import { ActionButton } from './action-button.js';
import { FramePlayer } from './frame-player.js';

/** What can be done with the picture on the stage, beyond keeping it. */
export function ResultTools(): JSX.Element | null {
  const now = shown.value;
  if (!now) return null;
  const count = now.trails.length;
  return (
    <>
      {now.request.subject.kind === 'interpolate' && count > 1 && <FramePlayer count={count} />}
      <ActionButton action={editShown} />
      {before.value && (
        <button
          type="button"
          aria-pressed={isComparing.value}
          onClick={() => (isComparing.value = !isComparing.value)}
        >
          Compare with before
        </button>
      )}
    </>
  );
}
