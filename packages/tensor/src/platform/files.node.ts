/// <reference types="node" />
import { close, open as openFd, read } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PaellaError } from '../errors.js';
import { byteSource, type ByteSource } from '../io/byte-source.js';
import type { FileSink } from './files.js';

const openAt = promisify(openFd);
const readAt = promisify(read);
const closeAt = promisify(close);

/** One `read` call transfers at most 2 GiB on Linux. */
const MAX_READ = 1 << 30;

/** Closes the files of state dicts that nobody closed; a `FileHandle` would warn about it instead. */
const forgotten = new FinalizationRegistry<number>((fd) => close(fd));

/**
 * Opens a file for random access by its path or `file:` URL.
 * @throws PaellaError `not-found` if there is no such file, `argument` if it is a folder.
 */
export async function openFile(path: string | URL): Promise<ByteSource> {
  const name = path instanceof URL ? fileURLToPath(path) : path;
  const found = await stat(name).catch((cause: unknown) => {
    throw new PaellaError('not-found', `${name} cannot be read`, { fix: 'Check the path', cause });
  });
  if (!found.isFile()) {
    throw new PaellaError('argument', `${name} is not a file`, { fix: 'Pass the checkpoint file inside it' });
  }
  const fd = await openAt(name, 'r');
  let isOpen = true;
  const source = byteSource(
    name,
    found.size,
    async (offset, length) => {
      if (!isOpen) throw new PaellaError('disposed', `${name} was closed`);
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await readAt(fd, bytes, done, Math.min(length - done, MAX_READ), offset + done);
        if (bytesRead === 0) return bytes.subarray(0, done);
        done += bytesRead;
      }
      return bytes;
    },
    async () => {
      if (!isOpen) return;
      isOpen = false;
      forgotten.unregister(source);
      await closeAt(fd);
    },
  );
  forgotten.register(source, fd, source);
  return source;
}

/** Starts writing a file: a temporary one in the same folder, renamed on `commit`. */
export async function createFile(path: string): Promise<FileSink> {
  const suffix = Math.random().toString(36).slice(2, 10);
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}-${suffix}.tmp`);
  const file = await open(temporary, 'wx').catch((cause: unknown) => {
    throw new PaellaError('not-found', `${path} cannot be written`, {
      fix: 'Create its folder first, and check that you may write there',
      cause,
    });
  });
  return {
    async write(bytes) {
      await file.writeFile(bytes);
    },
    async commit() {
      await file.sync();
      await file.close();
      await rename(temporary, path);
    },
    async discard() {
      await file.close();
      await rm(temporary, { force: true });
    },
  };
}
