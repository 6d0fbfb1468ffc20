import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type Kept, pictures, remove } from '../state/gallery.js';
import { titleOf } from '../state/recipe.js';
import { open, shownKept } from '../state/stage.js';
import { later } from './later.js';
import { moveFocus } from './roving.js';

const PAGE = 60;

const Clearing = later(async () => (await import('./clearing.js')).Clearing);

/** What was drawn on this device, newest first. */
export function Gallery(): JSX.Element {
  const all = pictures.value;
  const [length, setLength] = useState(PAGE);
  const [isClearing, setClearing] = useState(false);
  return (
    <section class="gallery" aria-labelledby="gallery-title">
      <header>
        <h2 id="gallery-title">Gallery</h2>
        {all && all.length > 0 && (
          <>
            <span class="note">{all.length === 1 ? '1 picture' : `${all.length} pictures`}</span>
            <button type="button" class="quiet" onClick={() => setClearing(true)}>
              Clear …
            </button>
          </>
        )}
      </header>
      {all?.length === 0 && <p class="note">Finished pictures are kept here, in this browser.</p>}
      {all && <Thumbnails pictures={all.slice(0, length)} />}
      {all && all.length > length && (
        <button type="button" onClick={() => setLength(length + PAGE)}>
          Show more
        </button>
      )}
      {isClearing && <Clearing onClose={() => setClearing(false)} />}
    </section>
  );
}

/** One stop of the Tab key, arrows between the pictures; the Delete key deletes. */
function Thumbnails({ pictures: some }: { pictures: readonly Kept[] }): JSX.Element {
  const shownId = shownKept.value?.id;
  const stop = Math.max(
    0,
    some.findIndex(({ id }) => id === shownId),
  );
  return (
    <ul
      class="thumbnails"
      onKeyDown={(event) => {
        moveFocus(event);
        const id = (event.target as HTMLElement).dataset.id;
        if (event.key === 'Delete') void remove(some.filter((kept) => kept.id === id));
      }}
    >
      {some.map((kept, i) => (
        <li key={kept.id}>
          <button
            type="button"
            data-id={kept.id}
            tabIndex={i === stop ? 0 : -1}
            aria-current={kept.id === shownId}
            title={titleOf(kept)}
            onClick={() => void open(kept)}
          >
            <Thumbnail kept={kept} />
          </button>
        </li>
      ))}
    </ul>
  );
}

function Thumbnail({ kept }: { kept: Kept }): JSX.Element {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    const mine = URL.createObjectURL(kept.png);
    setUrl(mine);
    return () => URL.revokeObjectURL(mine);
  }, [kept.png]);
  const { width, height, settings } = kept;
  return (
    <img src={url} {...{ width, height }} loading="lazy" alt={`${titleOf(kept)}, seed ${settings.seed}`} />
  );
}
