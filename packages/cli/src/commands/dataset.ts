import type { CommonOptions, Context } from '../context.js';
import { buildEmojiSet } from '../emoji/build.js';

export interface EmojiDatasetOptions extends CommonOptions {
  out: string;
  size: number;
  sources: string[];
  packages?: string;
  compose: number;
  avatars: number;
  limit?: number;
  shardSize: number;
  strictLicences?: boolean;
}

/** `paella dataset emoji` */
export async function datasetEmoji(context: Context, options: EmojiDatasetOptions): Promise<void> {
  const { out } = context;
  const summary = await buildEmojiSet({
    ...options,
    packages: options.packages ?? null,
    limit: options.limit ?? Infinity,
    seed: options.seed ?? 0,
    note: (message) => out.note(message),
    progress: (label, done, total) => out.progress(label, done, total),
    checkInterrupt: () => context.checkInterrupt(),
  });
  const { images, shards, left } = summary;
  out.result(summary, [
    `${images} pictures in ${shards.length} shards in ${options.out}`,
    `left out: ${left.unreadable} unreadable, ${left.equal} equal, ${left.blank} blank`,
  ]);
}
