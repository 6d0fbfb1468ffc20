import { PaellaError, type StateDict, loadStateDict, openSource } from '@paella/tensor';
import * as z from 'zod';

/** A folder of files, on disk or on the web, where nothing lists what it holds. */
export interface Folder {
  /** What errors call it. */
  readonly name: string;
  locate: (file: string) => string | URL;
  /** @throws PaellaError `not-found` */
  text: (file: string) => Promise<string>;
  /**
   * The content of a JSON file that fits a schema.
   *
   * @throws PaellaError `not-found`; `format` saying what is wrong with it
   */
  json: <T>(file: string, schema: z.ZodType<T>) => Promise<T>;
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
  const text = async (file: string): Promise<string> => {
    const source = await openSource(locate(file));
    const bytes = await source.read(0, source.size);
    await source.close?.();
    return new TextDecoder().decode(bytes);
  };
  return {
    name: String(where),
    locate,
    text,
    json: async (file, schema) => parseJson(String(locate(file)), await text(file), schema),
    checkpoint: (file) => loadStateDict(locate(file)),
    async find(names) {
      for (const name of names) if (await isThere(locate(name))) return name;
      return undefined;
    },
    inside: (name) => openFolder(locate(name)),
  };
}

function parseJson<T>(name: string, text: string, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new PaellaError('format', `${name} is not JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new PaellaError('format', `${name}: ${z.prettifyError(parsed.error)}`);
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
