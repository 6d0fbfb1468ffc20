import { PaellaError } from '../errors.js';
import { bufferSource, byteSource, formatError, type ByteSource } from './byte-source.js';

/** The first request fetches this much, which holds the header of most files and all of a small one. */
const FIRST_BYTES = 64 * 1024;

/** A server without range requests is read as a whole up to this size, and refused beyond it. */
const MAX_DOWNLOAD = 512 * 1024 * 1024;

/**
 * A file behind a URL, read by HTTP range requests. A server that ignores ranges has its file downloaded
 * into memory if it is no larger than 512 MiB.
 * @throws PaellaError `not-found` where the URL answers 404 or 410, `unsupported` where it cannot be read in
 *   ranges and is too large to hold, `format` for any other answer.
 */
export async function urlSource(url: URL): Promise<ByteSource> {
  const name = displayName(url);
  const response = await request(url, name, 0, FIRST_BYTES);
  if (response.status !== 206) return bufferSource(await download(response, name), name);
  const head = new Uint8Array(await reach(name, response.arrayBuffer()));
  const size = totalOf(response) ?? (await sizeByHead(url, name));
  const tag = response.headers.get('etag');
  return byteSource(name, size, async (offset, length) => {
    if (length === 0) return new Uint8Array(0);
    if (offset + length <= head.length) return head.slice(offset, offset + length);
    const part = await request(url, name, offset, length);
    const total = totalOf(part) ?? size;
    if (part.status !== 206 || total !== size || part.headers.get('etag') !== tag) {
      await part.body?.cancel();
      throw formatError(name, 'the file changed on the server while it was read', 'Load it again');
    }
    return new Uint8Array(await reach(name, part.arrayBuffer()));
  });
}

/** A URL as errors show it: without a signed link's secrets, and without the bulk of a data URL. */
function displayName(url: URL): string {
  if (url.protocol === 'data:') return `${url.href.slice(0, 40)}…`;
  return url.origin === 'null' ? url.href : url.origin + url.pathname;
}

async function request(url: URL, name: string, offset: number, length: number): Promise<Response> {
  const headers = { Range: `bytes=${offset}-${offset + length - 1}` };
  const response = await reach(name, fetch(url, { headers }));
  if (response.ok) return response;
  await response.body?.cancel();
  const gone = response.status === 404 || response.status === 410;
  throw new PaellaError(gone ? 'not-found' : 'format', `${name} answered HTTP ${response.status}`, {
    fix: 'Check the address, and that it needs no log-in',
  });
}

/** Waits for an answer or its body, and says what it was for if the connection fails. */
async function reach<T>(name: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new PaellaError('not-found', `${name} could not be fetched: ${String(cause)}`, {
      fix: 'Check the address and the connection; in a browser the server must allow this page by CORS',
      cause,
    });
  }
}

/** The whole file's size from `Content-Range: bytes 0-65535/4033729477`. */
function totalOf(response: Response): number | undefined {
  const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  return total === undefined ? undefined : Number(total);
}

/** Across origins `Content-Range` is hidden unless the server exposes it; `Content-Length` never is. */
async function sizeByHead(url: URL, name: string): Promise<number> {
  const response = await reach(name, fetch(url, { method: 'HEAD' }));
  const size = Number(response.headers.get('content-length') ?? NaN);
  if (response.ok && Number.isSafeInteger(size)) return size;
  throw new PaellaError('unsupported', `${name}: the server does not tell how large the file is`, {
    fix: 'Let it expose the Content-Range header, or download the file and pass it as a Blob',
  });
}

async function download(response: Response, name: string): Promise<Uint8Array> {
  const tooLarge = () =>
    new PaellaError(
      'unsupported',
      `${name}: the server ignores range requests, and the file is too large to hold`,
      {
        fix: 'Serve it with range support, or download it and pass its path or Blob',
      },
    );
  const announced = Number(response.headers.get('content-length') ?? 0);
  if (announced > MAX_DOWNLOAD || !response.body) {
    await response.body?.cancel();
    throw tooLarge();
  }
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const reader = response.body.getReader();
  const read = () => reach(name, reader.read());
  for (let next = await read(); !next.done; next = await read()) {
    size += next.value.length;
    if (size > MAX_DOWNLOAD) {
      await reader.cancel();
      throw tooLarge();
    }
    chunks.push(next.value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
