import type { JSX } from 'preact';
import { maskActions } from '../../state/edit-actions.js';
import { LARGEST_BRUSH, SMALLEST_BRUSH, brush } from '../../state/mask.js';
import { keyText } from '../../state/shortcuts.js';
import { ActionButton } from './action-button.js';

/** Brush and eraser, their size, and what concerns the whole mask. */
export function MaskTools(): JSX.Element {
  const { erase, size } = brush.value;
  const { smaller, larger, undo, redo, invert, fill, clear } = maskActions;
  return (
    <div class="mask-tools" role="group" aria-label="Mask tools">
      <div class="joined">
        <ActionButton action={maskActions.brush} pressed={!erase} />
        <ActionButton action={maskActions.eraser} pressed={erase} />
      </div>
      <label class="brush-size" title={`Brush size (${keyText(smaller)} and ${keyText(larger)})`}>
        <span>Size</span>
        <input
          type="range"
          min={SMALLEST_BRUSH}
          max={LARGEST_BRUSH}
          value={size}
          aria-keyshortcuts={`${smaller.keys} ${larger.keys}`}
          aria-valuetext={`${size} squares wide`}
          onInput={(event) => (brush.value = { erase, size: event.currentTarget.valueAsNumber })}
        />
      </label>
      <div class="joined">
        <ActionButton action={undo} />
        <ActionButton action={redo} />
      </div>
      <div class="joined">
        <ActionButton action={invert} />
        <ActionButton action={fill} />
        <ActionButton action={clear} />
      </div>
    </div>
  );
}
