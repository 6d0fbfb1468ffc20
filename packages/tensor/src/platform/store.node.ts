/** Small texts that are kept from one process to the next, as files in the user's cache folder. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolders, isTrustedFolder, prepareCacheFolder } from './cache.node.js';

/** The text kept under a name, or null. */
export async function readStored(name: string): Promise<string | null> {
  for (const folder of cacheFolders()) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => null);
    if (text !== null && (await isTrustedFolder(folder))) return text;
  }
  return null;
}

/**
 * Keeps a text under a name; whoever reads meanwhile gets the old one or the new one.
 *
 * @returns whether there is a place to keep it
 */
export async function writeStored(name: string, text: string): Promise<boolean> {
  for (const folder of cacheFolders()) {
    if (!(await prepareCacheFolder(folder))) continue;
    const temporary = join(folder, `.${name}.${process.pid}-${Math.random().toString(36).slice(2)}.tmp`);
    try {
      await writeFile(temporary, text);
      await rename(temporary, join(folder, name));
      return true;
    } catch {
      await rm(temporary, { force: true });
    }
  }
  return false;
}
