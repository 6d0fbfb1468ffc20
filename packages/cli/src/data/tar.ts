/** Writing WebDataset shards. */
import { packTar } from 'modern-tar';

/** A file of a shard: its name, which begins with the item's key, and its content. */
export type Member = readonly [name: string, body: Uint8Array];

/** A tar file of these members; equal ones make equal files, since their date is always the same. */
export function tarOf(members: readonly Member[]): Promise<Uint8Array> {
  return packTar(
    members.map(([name, body]) => ({
      header: { name, size: body.length, mtime: new Date(0), type: 'file' },
      body,
    })),
  );
}
