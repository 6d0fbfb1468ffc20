import { PaellaError } from '../errors.js';
import type { ByteSource } from '../io/byte-source.js';
import { urlSource } from '../io/http.js';
import type { FileSink } from './files.js';

/** A page has no files of its own: a path is an address relative to the page. */
export const openFile = (path: string | URL): Promise<ByteSource> =>
  urlSource(new URL(path, globalThis.location.href));

/** @throws PaellaError `unsupported`, always. */
export async function createFile(path: string): Promise<FileSink> {
  throw new PaellaError('unsupported', `${path}: a page cannot write files by name`, {
    fix: 'Use safetensorsBlob() and offer the Blob as a download',
  });
}
