import type { JSX } from 'preact';
import { type Drawing, shownPicture } from '../../state/drawing.js';
import { shownImage } from '../../state/stage.js';
import { Picture } from '../picture.js';

/** The picture whose tokens are shown, after the shown step; and which of a run it is. */
export function ChosenPicture({ now }: { now: Drawing }): JSX.Element {
  return (
    <div class="chosen">
      <Picture image={shownImage.value} label="The picture at this step" />
      {now.trails.length > 1 && (
        <label>
          Picture{' '}
          <select
            value={shownPicture.value}
            onChange={(event) => (shownPicture.value = Number(event.currentTarget.value))}
          >
            {now.trails.map(({ tokens }, i) => (
              <option key={i} value={i} disabled={tokens.length === 0}>
                {i + 1} of {now.trails.length}
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}
