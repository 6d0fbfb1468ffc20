import { PaellaError } from '@paella/tensor';
import * as v from 'valibot';
import { openDownload } from './download.js';
import { type Folder, folderOf, openFolder } from './folder.js';
import { placeOf, sha256 } from './model-folder.js';

/** How far the download of one file is. */
export interface DownloadProgress {
  file: string;
  loadedBytes: number;
  /** Absent where the server does not tell. */
  totalBytes?: number;
}

export interface StoredFolderOptions {
  /** Called when a download begins, and as it goes on. Files that are stored already are not mentioned. */
  onProgress?: (progress: DownloadProgress) => void;
  /** Stops the downloads. */
  signal?: AbortSignal;
}

/** The name that the browser shows of the store. */
const CACHE = 'paella-models';
const CARD = 'model.json';

/** What this module reads of a `model.json`. */
const hashesOf = v.object({ sha256: v.optional(sha256, {}) });

/**
 * A folder on the web whose files are downloaded once. All files that its `model.json` gives a hash of are fetched at
 * once, checked, and kept in the browser's Cache API, from where they are read on later visits, also without a network.
 * `model.json` itself is asked for on every visit; when it brings other hashes, what it no longer names is deleted as
 * soon as the new files are there. Other files are read from the server as `openFolder` does.
 *
 * Downloads are streams: no file is ever whole in memory. Where pages may not store anything (Node, some private
 * windows, no HTTPS) or not as much, what was downloaded lasts as long as the folder.
 *
 * @param where `'default'` for the embedded model, or a URL; anything but HTTP is opened by `openFolder`
 * @returns as soon as `model.json` is read; whoever reads a file waits for its download
 * @throws PaellaError `format` if `model.json` is damaged, `aborted` if the signal fires; from reading a file, also
 *   `not-found` if it cannot be fetched, and `format` if it is not the one that `model.json` gives the hash of
 */
export async function storedFolder(where: string | URL, options: StoredFolderOptions = {}): Promise<Folder> {
  const place = placeOf(where);
  const url = webAddress(place);
  const plain = openFolder(url ?? place);
  if (!url) return plain;
  const cache = await openCache();
  const card = await readCard(url, cache, options.signal);
  if (card === undefined) return plain; // which says why when it is read
  const cardFile = new Blob([card]);
  const { sha256: hashes } = await folderOf(url.href, () => cardFile).json(CARD, hashesOf);
  const files = new StoredFiles(url, hashes, cache, options);
  void files.completeWith(card);
  return folderOf(url.href, (file) => {
    if (file === CARD) return cardFile;
    return Object.hasOwn(hashes, file) ? files.read(file) : new URL(file, url);
  });
}

/** The address of a folder, if it is one on the web. */
function webAddress(place: string | URL): URL | undefined {
  const base = 'location' in globalThis ? globalThis.location.href : undefined;
  if (!URL.canParse(String(place), base)) return undefined;
  const url = new URL(place, base);
  if (!/^https?:$/.test(url.protocol)) return undefined;
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

/** The store, if there is one here. */
async function openCache(): Promise<Cache | undefined> {
  try {
    return 'caches' in globalThis ? await caches.open(CACHE) : undefined;
  } catch {
    return undefined; // Firefox has none in private windows, and says so here
  }
}

/** Where a file is stored. Addresses of their own, so that no folder's files are taken for those of one inside. */
const keyOf = (folder: URL, file: string, hash = ''): string =>
  `${folder.href}?file=${encodeURIComponent(file)}&sha256=${hash}`;

/** `model.json` as it is on the server now or, where that does not answer, as it was. */
async function readCard(
  folder: URL,
  cache: Cache | undefined,
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    const response = await fetch(new URL(CARD, folder), { cache: 'no-cache', signal });
    if (response.ok) return await response.text();
    await response.body?.cancel();
    if (response.status < 500) return undefined;
  } catch {
    if (signal?.aborted) throw new PaellaError('aborted', 'the download was stopped');
  }
  return (await cache?.match(keyOf(folder, CARD)))?.text();
}

/** The files of a folder that have hashes. */
class StoredFiles {
  readonly #folder: URL;
  readonly #hashes: Record<string, string>;
  readonly #cache: Cache | undefined;
  readonly #options: StoredFolderOptions;
  /** What is on its way, and what is held in memory because it could not be stored. */
  readonly #downloads = new Map<string, Promise<Blob>>();

  constructor(
    folder: URL,
    hashes: Record<string, string>,
    cache: Cache | undefined,
    options: StoredFolderOptions,
  ) {
    this.#folder = folder;
    this.#hashes = hashes;
    this.#cache = cache;
    this.#options = options;
  }

  /** The content of a file, from the store or the server. */
  async read(file: string): Promise<Blob> {
    return (await this.#stored(file))?.blob() ?? this.#download(file);
  }

  /**
   * Downloads what is missing. Only when all is there, `model.json` is stored and what it does not name goes: until
   * then the older version stays complete. Never rejects: whoever reads a file that failed tries again, and hears why.
   */
  async completeWith(card: string): Promise<void> {
    const files = Object.keys(this.#hashes);
    const cache = this.#cache;
    try {
      await Promise.all(files.map(async (file) => (await this.#stored(file)) ?? this.#download(file)));
      if (!cache) return;
      await cache.put(keyOf(this.#folder, CARD), new Response(card));
      const wanted = new Set([keyOf(this.#folder, CARD), ...files.map((file) => this.#key(file))]);
      const stored = await cache.keys();
      const old = stored.filter(({ url }) => url.startsWith(`${this.#folder.href}?`) && !wanted.has(url));
      await Promise.all(old.map((request) => cache.delete(request)));
    } catch {
      // The next visit goes on from here.
    }
  }

  #key(file: string): string {
    return keyOf(this.#folder, file, this.#hashes[file]);
  }

  async #stored(file: string): Promise<Response | undefined> {
    return this.#cache?.match(this.#key(file));
  }

  #download(file: string): Promise<Blob> {
    const running = this.#downloads.get(file);
    if (running) return running;
    const download = this.#store(file)
      .then((stored) => {
        if (stored) this.#downloads.delete(file);
        return stored ?? this.#fetch(file, (response) => response.blob());
      })
      .catch((error: unknown) => {
        this.#downloads.delete(file);
        throw error;
      });
    this.#downloads.set(file, download);
    return download;
  }

  /** Downloads a file into the store. Undefined where it does not take it. */
  #store(file: string): Promise<Blob | undefined> {
    const cache = this.#cache;
    if (!cache) return Promise.resolve(undefined);
    return this.#fetch(file, async (response) => {
      try {
        await cache.put(this.#key(file), response);
      } catch {
        return undefined; // no room is left, unless the download itself has failed
      }
      return (await this.#stored(file))?.blob();
    });
  }

  /**
   * @param consume reads the body of an answer to its end
   * @throws PaellaError `not-found`, `aborted`, or `format` for a content with another hash
   */
  async #fetch<T>(file: string, consume: (answer: Response) => Promise<T>): Promise<T> {
    const { onProgress, signal } = this.#options;
    const url = new URL(file, this.#folder);
    // A wrong file may be an old one that some cache on the way has kept.
    for (const cache of ['default', 'reload'] as const) {
      const download = await openDownload(url, {
        sha256: this.#hashes[file],
        cache,
        signal,
        onProgress: (loadedBytes, totalBytes) => onProgress?.({ file, loadedBytes, totalBytes }),
      });
      const result = await consume(new Response(download.stream)).catch((error: unknown) => {
        if (!download.failure) throw error;
      });
      if (!download.failure) return result as T;
      if (download.failure.code !== 'format') throw download.failure;
    }
    throw new PaellaError('format', `${url.href} is not the file that model.json names: its hash differs`, {
      fix: 'Load the page again, in case the model was just replaced. If that does not help, its folder is damaged on the server: upload all of its files again',
    });
  }
}
