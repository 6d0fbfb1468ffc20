/** A folder on the web that exists only in a test: `fetch` answers for it, with byte ranges, and remembers what was asked. */
import { vi } from 'vitest';

/** A file's content, or what answers for it. */
export type WebFile = Uint8Array<ArrayBuffer> | string | ((init?: RequestInit) => Response);

export interface WebFolder {
  url: URL;
  /** Bytes `[from, to)` that were asked for, by file. */
  reads: Map<string, [from: number, to: number][]>;
  /** Files that were asked for as a whole, in order, with the request's cache mode if it had one. */
  downloads: string[];
}

/** Serves files under an address of their own until `vi.unstubAllGlobals()`. What changes in `files` changes there. */
export function webFolder(files: Record<string, WebFile>): WebFolder {
  const url = new URL('https://models.invalid/folder/');
  const reads: WebFolder['reads'] = new Map();
  const downloads: string[] = [];
  const passOn = globalThis.fetch;
  vi.stubGlobal('fetch', async (input: string | URL, init?: RequestInit): Promise<Response> => {
    const address = String(input);
    if (!address.startsWith(url.href)) return passOn(input, init);
    init?.signal?.throwIfAborted();
    const name = decodeURIComponent(address.slice(url.href.length));
    const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get('range') ?? '');
    if (!range) downloads.push([name, init?.cache ?? []].flat().join(' '));
    const content = files[name];
    if (content === undefined) return new Response('', { status: 404 });
    if (typeof content === 'function') return content(init);
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    if (!range) return new Response(bytes, { headers: { 'Content-Length': String(bytes.length) } });
    const [from, to] = [Number(range[1]), Math.min(Number(range[2]) + 1, bytes.length)];
    reads.set(name, [...(reads.get(name) ?? []), [from, to]]);
    const headers = { 'Content-Range': `bytes ${from}-${to - 1}/${bytes.length}` };
    return new Response(bytes.slice(from, to), { status: 206, headers });
  });
  return { url, reads, downloads };
}
