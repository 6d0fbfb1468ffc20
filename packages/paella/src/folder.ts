import { PaellaError, type StateDict, loadStateDict, openSource } from '@paella/tensor';

/** A folder of files, on disk or on the web, where nothing lists what it holds. */
export interface Folder {
  /** What errors call it. */
  readonly name: string;
  locate: (file: string) => string | URL;
  /** @throws PaellaError `not-found` */
  text: (file: string) => Promise<string>;
  /** Opens a checkpoint; whoever asks closes it. */
  checkpoint: (file: string) => Promise<StateDict>;
  /** The first of some names that is there. */
  find: (names: readonly string[]) => Promise<string | undefined>;
  /** A folder inside. */
  inside: (name: string) => Folder;
}

/** @param where a path (in Node) or a URL */
export function openFolder(where: string | URL): Folder {
  const isAddress = where instanceof URL || /^(https?|file|blob|data):/i.test(where);
  const locate = (file: string): string | URL =>
    isAddress
      ? new URL(file, String(where).endsWith('/') ? where : `${String(where)}/`)
      : `${where.replace(/[/\\]$/, '')}/${file}`;
  return {
    name: String(where),
    locate,
    async text(file) {
      const source = await openSource(locate(file));
      const bytes = await source.read(0, source.size);
      await source.close?.();
      return new TextDecoder().decode(bytes);
    },
    checkpoint: (file) => loadStateDict(locate(file)),
    async find(names) {
      for (const name of names) if (await isThere(locate(name))) return name;
      return undefined;
    },
    inside: (name) => openFolder(locate(name)),
  };
}

async function isThere(where: string | URL): Promise<boolean> {
  try {
    const source = await openSource(where);
    await source.close?.();
    return true;
  } catch (error) {
    if (error instanceof PaellaError && error.code === 'not-found') return false;
    throw error;
  }
}
