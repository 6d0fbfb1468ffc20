import { PaellaError, type StateDict, loadStateDict, openSource } from '@paella/tensor';
import * as v from 'valibot';
import { anyObject } from './schemas.js';

/** A folder of files, on disk, on the web or in memory, where nothing lists what it holds. */
export interface Folder {
  /** What errors call it. */
  readonly name: string;
  /** What errors call a file of it. */
  nameOf: (file: string) => string;
  /** @throws PaellaError `not-found` */
  bytes: (file: string) => Promise<Uint8Array<ArrayBuffer>>;
  /** @throws PaellaError `not-found` */
  text: (file: string) => Promise<string>;
  /**
   * The content of a JSON file that fits a schema.
   *
   * @throws PaellaError `not-found`; `format` saying what is wrong with it
   */
  json: <T>(file: string, schema: v.GenericSchema<unknown, T>) => Promise<T>;
  /** Opens a checkpoint, or a sharded one by its index; whoever asks closes it. */
  checkpoint: (file: string) => Promise<StateDict>;
  /** The first of some names that is there. */
  find: (names: readonly string[]) => Promise<string | undefined>;
  /** A folder inside. */
  inside: (name: string) => Folder;
}

/** Where a file of a folder is. Throws `not-found`, or leaves that to whoever opens it. */
export type Locate = (file: string) => Place | Promise<Place>;
type Place = string | URL | Blob;

/** @param where a path (in Node) or a URL; a folder is returned as it is */
export function openFolder(where: string | URL | Folder): Folder {
  if (typeof where !== 'string' && !(where instanceof URL)) return where;
  const isAddress = where instanceof URL || /^(https?|file|blob|data):/i.test(where);
  return folderOf(String(where), (file) =>
    isAddress
      ? new URL(file, String(where).endsWith('/') ? where : `${String(where)}/`)
      : `${where.replace(/[/\\]$/, '')}/${file}`,
  );
}

/**
 * A folder of files that are at hand: those that somebody dropped on a page, say.
 *
 * @param files by their paths inside the folder: `byt5-xl/config.json`
 */
export function folderOfFiles(files: ReadonlyMap<string, Blob>): Folder {
  return folderOf('the folder', (file) => {
    const blob = files.get(file);
    if (blob) return blob;
    throw new PaellaError('not-found', `there is no ${file} among the ${files.size} files given`, {
      fix: 'Give all files of the folder, by their paths inside it',
    });
  });
}

/** @internal A folder that knows where its files are. */
export function folderOf(name: string, locate: Locate): Folder {
  const nameOf = (file: string): string => `${name.replace(/[/\\]$/, '')}/${file}`;
  /** A content at hand knows no name, by which errors would call it. Giving it one copies nothing. */
  const named: Locate = async (file) => {
    const place = await locate(file);
    return place instanceof Blob ? new File([place], nameOf(file)) : place;
  };
  const bytes: Folder['bytes'] = async (file) => {
    const source = await openSource(await named(file));
    try {
      return await source.read(0, source.size);
    } finally {
      await source.close?.();
    }
  };
  const text: Folder['text'] = async (file) => new TextDecoder().decode(await bytes(file));
  return {
    name,
    nameOf,
    bytes,
    text,
    json: async (file, schema) => parseJson(nameOf(file), await text(file), schema),
    async checkpoint(file) {
      const place = await named(file);
      const beside = file.replace(/[^/]*$/, '');
      return loadStateDict(place, place instanceof Blob ? { shard: (one) => named(beside + one) } : {});
    },
    async find(names) {
      for (const one of names) if (await isThere(locate, one)) return one;
      return undefined;
    },
    inside: (inner) => folderOf(nameOf(inner), (file) => locate(`${inner}/${file}`)),
  };
}

function parseJson<T>(name: string, text: string, schema: v.GenericSchema<unknown, T>): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new PaellaError('format', `${name} is not JSON`, { cause });
  }
  const parsed = v.safeParse(v.pipe(anyObject, schema), json, { abortPipeEarly: true });
  if (parsed.success) return parsed.output;
  throw new PaellaError('format', `${name}: ${parsed.issues.map(explain).join('; ')}`);
}

/** `sampler.steps: Invalid type: Expected number but received "12"` */
function explain(issue: v.BaseIssue<unknown>): string {
  const isUnknown = issue.type === 'strict_object' && issue.expected === 'never';
  const message = isUnknown ? 'unknown key' : issue.message;
  const place = v.getDotPath(issue);
  return place === null ? message : `${place}: ${message}`;
}

async function isThere(locate: Locate, file: string): Promise<boolean> {
  try {
    const source = await openSource(await locate(file));
    await source.close?.();
    return true;
  } catch (error) {
    if (error instanceof PaellaError && error.code === 'not-found') return false;
    throw error;
  }
}
