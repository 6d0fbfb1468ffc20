import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { droppedFiles } from '../state/dropped-files.js';
import { notify } from '../state/notices.js';
import { tab } from '../state/view.js';

/** The whole page takes files: dropped, pasted or chosen. */
export function DropZone(): JSX.Element {
  const isOver = useSignal(false);
  useEffect(() => {
    const hasFiles = ({ dataTransfer }: DragEvent): boolean => dataTransfer?.types.includes('Files') ?? false;
    const onDragOver = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault(); // otherwise the browser leaves the page for the file
      isOver.value = true;
    };
    const onDragLeave = (event: DragEvent): void => {
      if (!event.relatedTarget) isOver.value = false;
    };
    const onDrop = (event: DragEvent): void => {
      isOver.value = false;
      if (event.defaultPrevented || !hasFiles(event)) return;
      event.preventDefault();
      void take(droppedFiles(event.dataTransfer!));
    };
    const onPaste = ({ clipboardData }: ClipboardEvent): void => {
      const files = [...(clipboardData?.files ?? [])];
      if (files.length > 0) void take(Promise.resolve(files));
    };
    const listening = new AbortController();
    const { signal } = listening;
    document.addEventListener('dragover', onDragOver, { signal });
    document.addEventListener('dragleave', onDragLeave, { signal });
    document.addEventListener('drop', onDrop, { signal });
    document.addEventListener('paste', onPaste, { signal });
    return () => listening.abort();
  }, []);
  return (
    <>
      <label
        class="button"
        title="A picture of the studio, another picture, or a model; you can also drop it anywhere"
      >
        Open …
        <input
          type="file"
          multiple
          onChange={({ currentTarget }) => {
            void take(Promise.resolve([...currentTarget.files!]));
            currentTarget.value = ''; // so that the same file can be chosen again
          }}
        />
      </label>
      {isOver.value && (
        <div class="drop-zone">
          <p>
            <strong>Drop it here</strong>
            <br />
            {tab.value === 'train'
              ? 'Pictures to learn from, or a model'
              : 'A picture to edit, a picture of the studio for its settings, or a model'}
          </p>
        </div>
      )}
    </>
  );
}

async function take(dropped: Promise<File[]>): Promise<void> {
  try {
    const { openFiles } = await import('../state/drop.js');
    await openFiles(await dropped);
  } catch (error) {
    notify({ kind: 'error', text: `The file could not be opened: ${String(error)}` });
  }
}
