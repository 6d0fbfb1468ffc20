import { batch } from '@preact/signals';
import { type Kept, detailsOf } from './gallery.js';
import { notify } from './notices.js';
import { type Recipe, formOf } from './recipe.js';
import { change } from './settings.js';
import { restoreSubject } from './subject.js';
import { endPrompt } from './tool.js';
import { tab } from './view.js';

/** Fills the form with the settings of a picture of the gallery, and with the pictures that it began with. */
export async function reuse(kept: Kept): Promise<void> {
  const details = await detailsOf(kept);
  batch(() => {
    useRecipe(kept);
    if (details) restoreSubject(details.request.subject);
  });
  notify({ kind: 'info', text: 'The form has the settings of this picture.' });
}

/** Fills the form with the settings of a recipe. The picture that an edit began with is not in it. */
export function useRecipe(recipe: Recipe): void {
  const { subject } = recipe;
  batch(() => {
    tab.value = 'create';
    change(formOf(recipe));
    restoreSubject(subject);
    if (subject.kind === 'interpolate') endPrompt.value = subject.to;
  });
}
