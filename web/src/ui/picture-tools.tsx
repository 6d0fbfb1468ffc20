import type { JSX } from 'preact';
import type { Drawing } from '../state/drawing.js';
import { shownPicture } from '../state/drawing.js';
import { type Kept, remove } from '../state/gallery.js';
import { notify } from '../state/notices.js';
import { titleOf } from '../state/recipe.js';
import { reuse } from '../state/reuse.js';
import { saveAnimation, saveEnlarged, savePicture } from '../state/saving.js';
import { close } from '../state/stage.js';
import { ResultTools } from './edit/result-tools.js';

const ENLARGED = 8;

/** What a finished picture is, and what can be done with it. */
export function PictureTools({ kept, now }: { kept: Kept; now: Drawing }): JSX.Element {
  const frames = framesOf(now);
  return (
    <div class="picture-tools">
      <div class="row">
        <button type="button" onClick={() => savePicture(kept)}>
          Download PNG
        </button>
        <button type="button" onClick={() => told(saveEnlarged(kept, ENLARGED))}>
          Enlarged ×{ENLARGED}
        </button>
        <button type="button" disabled={frames.length < 2} onClick={() => told(saveAnimation(kept, frames))}>
          Animation
        </button>
      </div>
      <div class="row">
        <ResultTools />
        <button type="button" onClick={() => void reuse(kept)}>
          Use its settings
        </button>
        <button type="button" class="danger" onClick={() => void remove([kept]).then(close)}>
          Delete
        </button>
      </div>
      <Facts kept={kept} />
    </div>
  );
}

/** An interpolation is the way through its pictures, everything else the steps of one. */
function framesOf({
  request,
  result,
  trails,
}: Drawing): readonly Drawing['trails'][number]['images'][number][] {
  if (request.subject.kind === 'interpolate' && result && result.images.length > 1) return result.images;
  const { images } = trails[shownPicture.value];
  const final = result?.images[shownPicture.value];
  return final && images.length > 0 ? [...images.slice(0, -1), final] : images;
}

function Facts({ kept }: { kept: Kept }): JSX.Element {
  const { settings, width, height, seconds, model, adapter, style } = kept;
  const facts = [
    style,
    `${width} × ${height}`,
    `seed ${settings.seed}`,
    `${settings.steps} steps`,
    `guidance ${settings.cfg}`,
    `${seconds.toFixed(1)} s`,
    model,
    adapter,
    new Date(kept.date).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }),
  ];
  return (
    <p class="facts">
      <strong>{titleOf(kept)}</strong> <span>{facts.filter(Boolean).join(' · ')}</span>
    </p>
  );
}

function told(saving: Promise<void>): void {
  saving.catch((error: unknown) => {
    notify({ kind: 'error', text: `The file could not be made: ${String(error)}` });
  });
}
