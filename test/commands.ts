import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserCommand } from 'vitest/node';

const folder = fileURLToPath(new URL('../test-output/', import.meta.url));

declare module 'vitest/browser' {
  interface BrowserCommands {
    saveTestOutput: (name: string, base64: string) => Promise<string>;
  }
}

/** What a browser test asks vitest's server to do: see {@link writeOutput}. */
export const saveTestOutput: BrowserCommand<[name: string, base64: string]> = (_context, name, base64) =>
  writeOutput(name, Buffer.from(base64, 'base64'));

/**
 * Writes one file into `test-output/`, whatever folder its name says.
 *
 * @returns the file's path
 */
export async function writeOutput(name: string, bytes: Uint8Array): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, basename(name));
  await writeFile(path, bytes);
  return path;
}
