/** Pictures in a folder, with their captions beside them or in metadata.jsonl. */
import { PaellaError } from '@paella/tensor';
import { readFile, readdir } from 'node:fs/promises';
import { basename, extname, join, posix, relative, sep } from 'node:path';
import { isOf, shuffle, whole } from './order.js';
import {
  type Description,
  type Part,
  type RawItem,
  type Report,
  type Source,
  describe,
  imageExtensions,
  parseDescription,
  unreadable,
} from './item.js';

const nothing: Description = { captions: [], weight: 1, split: null };

/**
 * Lists a folder and the folders below it: `a.png` with `a.txt` or `a.json`, or in any of them a `metadata.jsonl` as
 * Hugging Face's imagefolder has it, one object with `file_name` a line.
 *
 * @throws PaellaError `format` for a damaged metadata.jsonl, `not-found` for a folder without pictures
 */
export async function openFolder(folder: string): Promise<Source> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
  const present = new Set(files);
  const pictures = files.filter((file) => imageExtensions.includes(extname(file).toLowerCase()));
  if (pictures.length === 0) {
    throw new PaellaError('not-found', `${folder} holds neither pictures nor .tar shards`, {
      fix: `Name a folder with ${imageExtensions.slice(0, 4).join(', ')} … files, or one with WebDataset shards.`,
    });
  }
  const tables = files.filter((file) => basename(file) === 'metadata.jsonl');
  const metadata = tables.length > 0 ? await readTables(folder, tables) : null;
  const lost = [...(metadata?.keys() ?? [])].filter((name) => !present.has(name));

  const describeFile = async (file: string): Promise<Description> => {
    const listed = metadata?.get(file);
    if (listed) return listed;
    const stem = file.slice(0, -extname(file).length);
    const beside = ['.json', '.txt'].map((extension) => stem + extension).find((name) => present.has(name));
    return beside ? parseDescription(beside, await readFile(join(folder, beside), 'utf8')) : nothing;
  };
  const itemOf = async (file: string): Promise<RawItem> => {
    try {
      const description = await describeFile(file);
      return { key: file, ...description, read: () => readFile(join(folder, file)) };
    } catch (error) {
      return unreadable(file, error);
    }
  };
  const reportLost = (report: Report): void => {
    for (const name of lost) report(name, 'metadata.jsonl names it, but it is not there');
  };
  return {
    length: pictures.length,
    isShuffled: true,
    async *pass(random, report, share = whole) {
      reportLost(report);
      const order = random ? shuffle(pictures, random) : pictures;
      for (const [place, file] of order.entries()) if (isOf(share, place)) yield await itemOf(file);
    },
    parts: (size) =>
      Array.from({ length: Math.ceil(pictures.length / size) }, (_, i) => {
        const names = pictures.slice(i * size, (i + 1) * size);
        return {
          names,
          length: names.length,
          async *items(report) {
            if (i === 0) reportLost(report);
            for (const file of names) yield await itemOf(file);
          },
        } satisfies Part;
      }),
  };
}

/** What all tables say, by paths from the folder; a table's own are from where it is. */
async function readTables(folder: string, tables: readonly string[]): Promise<Map<string, Description>> {
  const entries = new Map<string, Description>();
  for (const table of tables) {
    for (const [name, description] of await readTable(join(folder, table))) {
      entries.set(posix.join(posix.dirname(table), name), description);
    }
  }
  return entries;
}

async function readTable(path: string): Promise<Map<string, Description>> {
  const entries = new Map<string, Description>();
  for (const [i, line] of (await readFile(path, 'utf8')).split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    try {
      const { file_name: name, ...rest } = JSON.parse(line) as Record<string, unknown>;
      if (typeof name !== 'string') throw new Error('it has no file_name');
      entries.set(name, describe(rest));
    } catch (cause) {
      throw new PaellaError(
        'format',
        `${path}, line ${i + 1}: ${cause instanceof Error ? cause.message : ''}`,
        {
          cause,
          fix: 'Every line is an object such as {"file_name": "a.png", "text": "an apple"}.',
        },
      );
    }
  }
  return entries;
}
