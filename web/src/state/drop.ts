import { loadFiles } from './engine.js';
import { readRecipe } from './metadata.js';
import { notify } from './notices.js';
import { useRecipe } from './reuse.js';
import { editFiles } from './source.js';
import { usesSource } from './tool.js';
import { tab } from './view.js';

const CHECKPOINT = /\.(safetensors|pt|pth|bin|ckpt|json|txt)$/i;

/**
 * Opens files that were dropped on the page, pasted or chosen: parts of a model, pictures to edit, or pictures that were
 * drawn here and bring back their settings.
 */
export async function openFiles(files: readonly File[]): Promise<void> {
  if (files.length === 0) return;
  if (files.some(({ name }) => CHECKPOINT.test(name))) return loadFiles([...files]);
  const [file] = files;
  // Where a tool waits for a picture, one of ours is a picture like others.
  const recipe = usesSource.value ? null : await readRecipe(file);
  if (!recipe) {
    tab.value = 'create';
    return editFiles(files);
  }
  useRecipe(recipe);
  notify({
    kind: 'info',
    text: `The form has the settings of “${file.name}”.`,
    action: { label: 'Edit the picture instead', run: () => void editFiles([file]) },
  });
}

/** The files of a drop, those in folders as well. */
export async function droppedFiles({ items }: DataTransfer): Promise<File[]> {
  // All at once: the list is empty after the event. What is no file of the system has no entry.
  const dropped = [...items].map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  return (await Promise.all(dropped.map(filesOf))).flat();
}

async function filesOf(entry: FileSystemEntry | File | null): Promise<File[]> {
  if (!entry) return []; // text
  if (entry instanceof File) return [entry];
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    // By its path: a model's folder has folders inside. This copies no bytes.
    const { type, lastModified } = file;
    return [new File([file], entry.fullPath.slice(1), { type, lastModified })];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // A part of the folder at a time, until there is no more.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return found;
    found.push(...(await Promise.all(some.map(filesOf))).flat());
  }
}
