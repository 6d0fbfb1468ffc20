import type { JSX } from 'preact';
import { pictures, remove } from '../state/gallery.js';
import { Dialog } from './dialog.js';

/** Asks before the gallery is emptied. */
export function Clearing({ onClose }: { onClose: () => void }): JSX.Element {
  const all = pictures.value ?? [];
  return (
    <Dialog title="Delete all pictures?" onClose={onClose}>
      <p>
        {all.length === 1 ? 'The picture' : `All ${all.length} pictures`} of the gallery will be deleted from
        this browser. Files that you downloaded stay.
      </p>
      <div class="row">
        <button type="button" onClick={onClose}>
          Keep them
        </button>
        <button
          type="button"
          class="danger"
          onClick={() => {
            onClose();
            void remove(all);
          }}
        >
          Delete all
        </button>
      </div>
    </Dialog>
  );
}
