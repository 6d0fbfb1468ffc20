/** Writing results: a file appears under its name when it is complete, or not at all. */
import { PaellaError } from '@paella/tensor';
import { randomUUID } from 'node:crypto';
import { linkSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';

/** What `encodeImage` can write. */
export const imageExtensions = ['.png', '.jpg', '.jpeg'] as const;

/**
 * Writes a file by way of a temporary one beside it. Synchronous, so that not even a second Ctrl-C comes between.
 *
 * @throws PaellaError `not-found` if its folder is missing or may not be written
 */
export function writeResult(path: string, content: Uint8Array | string): void {
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`);
  try {
    writeFileSync(temporary, content, { flag: 'wx' });
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw new PaellaError('not-found', `${path} cannot be written: ${reason(cause)}`, { cause });
  }
}

/**
 * Creates a file with its content at once, so that nobody reads half of it.
 *
 * @returns false if it is there already
 * @throws PaellaError `not-found` if its folder is missing or may not be written
 */
export function createResult(path: string, content: string): boolean {
  const temporary = `${path}.${randomUUID()}.tmp`;
  writeResult(temporary, content);
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (isThere(error)) return false;
  } finally {
    rmSync(temporary, { force: true });
  }
  try {
    writeFileSync(path, content, { flag: 'wx' }); // for file systems that have no hard links
    return true;
  } catch (error) {
    if (isThere(error)) return false;
    throw error;
  }
}

const isThere = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EEXIST';

/**
 * Finds out before the work starts that its result would have no place.
 *
 * @param extensions the file types that can be written
 * @throws PaellaError `argument` for another extension, `not-found` for a folder that does not exist
 */
export function checkResultPath(path: string, extensions: readonly string[]): void {
  if (!extensions.includes(extname(path).toLowerCase())) {
    const last = extensions.at(-1);
    const list = extensions.length > 1 ? `${extensions.slice(0, -1).join(', ')} or ${last}` : last;
    throw new PaellaError('argument', `${path}: the name of this file must end in ${list}`);
  }
  const folder = dirname(path);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new PaellaError('not-found', `${path} has no place: there is no folder ${folder}`, {
      fix: 'Create it first',
    });
  }
}

/** `a.png` for one file, `a-1.png`, `a-2.png`, … for several. */
export function numberedPaths(path: string, count: number): string[] {
  const extension = extname(path);
  const stem = path.slice(0, path.length - extension.length);
  return count === 1 ? [path] : Array.from({ length: count }, (_, i) => `${stem}-${i + 1}${extension}`);
}

export const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
