import type { Model } from './model.js';
import { describeCard, openModelFolder } from './model-folder.js';

/**
 * Opens a model, of which nothing is loaded yet.
 *
 * @param where `'default'` for the embedded model, a path (in Node), or a URL
 * @throws PaellaError `not-found` or `format` if it is no complete model
 */
export async function openModel(where: string | URL): Promise<Model> {
  return describeCard(await openModelFolder(where));
}
