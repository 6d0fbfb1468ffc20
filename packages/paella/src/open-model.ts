import { PaellaError } from '@paella/tensor';
import { type Folder, openFolder } from './folder.js';
import type { Model } from './model.js';
import { describeCard, openModelFolder, placeOf } from './model-folder.js';

/**
 * Opens a model, of which nothing is loaded yet.
 *
 * @param where `'default'` for the embedded model, a path (in Node), a URL, or a folder: one with a `model.json`, or
 *   with the released `paella_v3.pt`, `vqgan_f4.pt`, `byt5-xl/` and what else belongs to them
 * @throws PaellaError `not-found` or `format` if it is no complete model
 */
export async function openModel(where: string | URL | Folder): Promise<Model> {
  const folder = openFolder(placeOf(where));
  if (await folder.find(['model.json'])) return describeCard(await openModelFolder(folder));
  // Loaded where it is needed: large tokenizers come with it, and the embedded model has none.
  const { describeReleased, isReleased } = await import('./released.js');
  if (await isReleased(folder)) return describeReleased(folder);
  throw new PaellaError(
    'not-found',
    `${folder.name} is no model folder: it has neither model.json nor paella_v3.pt`,
    {
      fix: "Name a folder that training made, one with the released files, or 'default'",
    },
  );
}
