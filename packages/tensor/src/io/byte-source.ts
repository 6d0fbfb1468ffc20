import { PaellaError } from '../errors.js';

/** Random access to a file, wherever it is. */
export interface ByteSource {
  /** What errors call it: a path, a URL, or what kind of buffer it is. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /**
   * Reads `length` bytes at `offset` into a fresh buffer that the caller owns whole.
   * @throws PaellaError `format` if the range leaves the file.
   */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close?(): Promise<void>;
}

/** An error about a file's content, naming the file. */
export const formatError = (name: string, message: string, fix?: string, cause?: unknown): PaellaError =>
  new PaellaError('format', `${name}: ${message}`, { fix, cause });

/**
 * Wraps a raw reader with the checks that all sources share: ranges stay inside the file (before anything is
 * allocated for them), and a read never comes back short.
 */
export function byteSource(
  name: string,
  size: number,
  readAt: (offset: number, length: number) => Promise<Uint8Array<ArrayBuffer>>,
  close?: () => Promise<void>,
): ByteSource {
  return {
    name,
    size,
    async read(offset, length) {
      if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0)) {
        throw formatError(name, `it points to the impossible range of ${length} bytes at ${offset}`);
      }
      if (offset + length > size) {
        throw formatError(
          name,
          `it ends at byte ${size}, but ${length} bytes at ${offset} belong to it`,
          'The file is damaged or cut short: download or save it again',
        );
      }
      const bytes = await readAt(offset, length);
      if (bytes.length !== length) {
        throw formatError(name, `only ${bytes.length} of ${length} bytes at ${offset} could be read`);
      }
      return bytes;
    },
    close,
  };
}

/** A file that is already in memory. */
export const bufferSource = (bytes: Uint8Array, name = 'the buffer'): ByteSource =>
  byteSource(name, bytes.length, async (offset, length) =>
    Uint8Array.from(bytes.subarray(offset, offset + length)),
  );

/** A `Blob` or `File`; only the slices asked for are read. */
export const blobSource = (blob: Blob): ByteSource =>
  byteSource(
    (blob as { name?: string }).name || 'the blob',
    blob.size,
    async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  );
