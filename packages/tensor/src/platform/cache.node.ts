/** The per-user folder for files that are made once and kept: unpacked drivers. */
import { constants } from 'node:fs';
import { access, lstat, mkdir } from 'node:fs/promises';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/**
 * The cache folders to try, best first: `PAELLA_CACHE`, `$XDG_CACHE_HOME/paella` or `~/.cache/paella`, and a
 * folder of this user under the system's temporary one, for read-only homes.
 */
export function cacheFolders(): string[] {
  const { PAELLA_CACHE: chosen, XDG_CACHE_HOME: xdg } = process.env;
  const home = chosen || join(xdg || join(homedir(), '.cache'), 'paella');
  return [home, join(tmpdir(), `paella-${userInfo().uid}`)];
}

/**
 * Makes a cache folder where it is missing, for this user alone.
 *
 * @returns whether files can be written there, and nobody else could have put one there first
 */
export async function prepareCacheFolder(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(folder, constants.W_OK);
    return await isTrustedFolder(folder);
  } catch {
    return false;
  }
}

/**
 * Whether a folder belongs to this user (or to root): code is loaded from it, and anybody may write to the
 * temporary folder.
 */
export async function isTrustedFolder(folder: string): Promise<boolean> {
  if (!process.getuid) return true;
  try {
    const { uid } = await lstat(folder);
    return uid === process.getuid() || uid === 0;
  } catch {
    return false;
  }
}
