import { loadFiles } from './engine.js';
import { readRecipe } from './metadata.js';
import { notify } from './notices.js';
import { useRecipe } from './reuse.js';
import { editFiles } from './source.js';
import { usesSource } from './tool.js';
import { tab } from './view.js';

const CHECKPOINT = /\.(safetensors|pt|pth|bin|ckpt|json|txt)$/i;

/**
 * Opens files that were dropped on the page, pasted or chosen: parts of a model, pictures to learn from where those are
 * shown, pictures to edit, or pictures that were drawn here and bring back their settings.
 */
export async function openFiles(files: readonly File[]): Promise<void> {
  if (files.length === 0) return;
  if (files.some(({ name }) => CHECKPOINT.test(name))) return loadFiles([...files]);
  if (tab.value === 'train') return (await import('./train.js')).addPictures(files);
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
