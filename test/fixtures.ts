/** Files for tests that run both in Node and in a browser: fixtures in, pictures out. */

const inBrowser = typeof document !== 'undefined';

/**
 * Reads a file of the repository.
 *
 * @param relativePath from the repository's root, for example `packages/tensor/test/golden/ops.safetensors`
 * @returns the file's bytes
 * @throws Error if there is no such file
 */
export async function readFixture(relativePath: string): Promise<ArrayBuffer> {
  if (inBrowser) {
    const response = await fetch(`/${relativePath}`);
    // Vitest's server answers an unknown path with a page.
    if (!response.ok || response.headers.get('content-type')?.startsWith('text/html')) {
      throw new Error(`no fixture ${relativePath}`);
    }
    return response.arrayBuffer();
  }
  const { readFile } = await import('node:fs/promises');
  const bytes = await readFile(new URL(`../${relativePath}`, import.meta.url));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

/**
 * Keeps something a test made, a picture say, for a person to look at: `test-output/<name>`, with `.browser`
 * before its extension when the browser made it.
 *
 * @param name file name with extension
 * @param bytes the file's content
 * @returns the file's path
 */
export async function saveOutput(name: string, bytes: Uint8Array): Promise<string> {
  if (!inBrowser) {
    const { writeOutput } = await import('./commands.js');
    return writeOutput(name, bytes);
  }
  const { commands } = await import('vitest/browser');
  let binary = '';
  for (let i = 0; i < bytes.length; i += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return commands.saveTestOutput(name.replace(/(\.[^.]*)?$/, '.browser$1'), btoa(binary));
}
