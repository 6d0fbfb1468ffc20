import { PaellaError } from '@paella/tensor';

export interface DownloadOptions {
  /** SHA-256 of the content, in hexadecimal digits. */
  sha256: string;
  /** `'reload'` goes past all caches. */
  cache?: RequestCache;
  /** Called first with 0; `totalBytes` is absent where the server does not tell. */
  onProgress?: (loadedBytes: number, totalBytes?: number) => void;
  signal?: AbortSignal;
}

export interface Download {
  /** Ends with an error unless the whole content has passed through it, and is the right one. */
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Why the stream ended with an error: `format` for another content, `not-found` or `aborted` before its end. */
  readonly failure: PaellaError | undefined;
}

/**
 * Downloads a file whose content is known by its hash, as a stream: it is never whole in memory here.
 *
 * @throws PaellaError `not-found` or `format` if the server does not send it, `aborted` if the signal fires
 */
export async function openDownload(url: URL, options: DownloadOptions): Promise<Download> {
  const { cache, onProgress, signal } = options;
  const brokenOff = (cause: unknown): PaellaError =>
    signal?.aborted
      ? new PaellaError('aborted', 'the download was stopped', { cause })
      : new PaellaError('not-found', `${url.href} could not be fetched: ${String(cause)}`, {
          fix: 'Check the connection, and try again; across origins the server must allow this page by CORS',
          cause,
        });
  // Those who download nothing need not load it.
  const [{ bytesToHex, sha256 }, response] = await Promise.all([
    import('./sha256.js'),
    fetch(url, { cache, signal }).catch((cause: unknown) => {
      throw brokenOff(cause);
    }),
  ]);
  if (!response.ok || !response.body) {
    await response.body?.cancel();
    const code = response.status === 404 || response.status === 410 ? 'not-found' : 'format';
    throw new PaellaError(code, `${url.href} answered HTTP ${response.status}`, {
      fix: 'Check that the folder on the server is complete, and that it needs no log-in',
    });
  }
  const hash = sha256.create();
  const reader = response.body.getReader();
  const announced = Number(response.headers.get('content-length') ?? NaN);
  let loaded = 0;
  // What is compressed on its way becomes longer than the server announced.
  const report = () => onProgress?.(loaded, announced >= loaded ? announced : undefined);
  let failure: PaellaError | undefined;
  const next = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => {
    const { value } = await reader.read().catch((cause: unknown) => {
      throw brokenOff(cause);
    });
    if (value) return value;
    const found = bytesToHex(hash.digest());
    if (found === options.sha256) return undefined;
    throw new PaellaError('format', `${url.href} is another file than expected: its SHA-256 is ${found}`);
  };
  report();
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        const bytes = await next();
        if (!bytes) {
          controller.close();
          return;
        }
        hash.update(bytes);
        loaded += bytes.length;
        report();
        controller.enqueue(bytes);
      } catch (error) {
        failure = error as PaellaError;
        throw error;
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return {
    stream,
    get failure() {
      return failure;
    },
  };
}
