/** The folder that bulk work fills, perhaps from many processes at once, and goes on in after any of them was killed. */
import { PaellaError } from '@paella/tensor';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { type Member, tarOf } from '../data/tar.js';
import { createResult, reason, writeResult } from '../files.js';
import { differences, listOf } from '../run/differences.js';
import { takeLock } from '../run/lock.js';
import { whole } from '../schemas.js';

/** What must be the same in all processes, and when the work goes on. */
export interface Work {
  /** Tars are called `generated-00012.tar`, say. */
  prefix: string;
  /** How many there will be. */
  tars: number;
  /** Everything that the content of the tars depends on; it is written as JSON. */
  settings: object;
}

/** Items that could not be made. */
export interface Failure {
  name: string;
  reason: string;
}

/** What a tar holds. */
export interface Content {
  members: readonly Member[];
  items: number;
  failed: readonly Failure[];
}

const tarRecord = v.object({
  tar: v.string(),
  sha256: v.string(),
  bytes: whole,
  items: whole,
  failed: v.array(v.object({ name: v.string(), reason: v.string() })),
  /** What made it: results of two adapters differ by rounding. */
  adapter: v.string(),
  version: v.string(),
});

/** The JSON file beside a tar. It is written last: where it is, the tar is complete. */
export type TarRecord = v.InferOutput<typeof tarRecord>;

/**
 * A folder of tars. `settings.json` says what they are made with, a record beside each that it is complete, and
 * `manifest.json` lists them all once they are.
 *
 * Nothing depends on locks: two processes at the same tar write the same bytes, and each file appears at once. They only
 * keep processes of one machine from doing work twice. Those of other machines are not waited for, since nobody can
 * tell whether they are alive; a launcher's processes know each other, and share the work out.
 */
export class BulkFolder {
  readonly path: string;
  readonly work: Work;

  private constructor(path: string, work: Work) {
    this.path = path;
    this.work = work;
  }

  /**
   * Opens a folder for some work, its first or the rest of it.
   *
   * @throws PaellaError `argument` if the folder was begun with other settings, or holds tars that are not this work's
   */
  static open(path: string, work: Work): BulkFolder {
    const file = join(path, 'settings.json');
    try {
      mkdirSync(path, { recursive: true });
    } catch (cause) {
      throw new PaellaError('not-found', `${path} cannot be a folder: ${reason(cause)}`, { cause });
    }
    const own = `${JSON.stringify(work.settings, null, 2)}\n`;
    // In this order: who begins the folder at this moment writes the settings before the first tar.
    if (readdirSync(path).some((name) => name.endsWith('.tar')) && !existsSync(file)) {
      throw new PaellaError('argument', `${path} already holds tar files`, { fix: 'Name an empty folder.' });
    }
    if (!createResult(file, own)) {
      const changes = differences(readJson(file), JSON.parse(own));
      if (changes.length > 0) {
        throw new PaellaError('argument', `${path} was begun with other settings: ${listOf(changes)}`, {
          fix: 'Use the same ones to go on, or name another folder with --out.',
        });
      }
    }
    return new BulkFolder(path, work);
  }

  /** The file name of a tar. */
  name(tar: number): string {
    return `${this.#stem(tar)}.tar`;
  }

  /** The record of a tar that is complete, else null; what is damaged counts as missing and is made again. */
  record(tar: number): TarRecord | null {
    try {
      const record = v.parse(tarRecord, JSON.parse(readFileSync(this.#file(tar, 'json'), 'utf8')));
      return statSync(this.#file(tar, 'tar')).size === record.bytes ? record : null;
    } catch {
      return null;
    }
  }

  /**
   * Marks a tar as this process's work.
   *
   * @returns takes the mark away; null if another process of this machine is at it
   */
  claim(tar: number): (() => void) | null {
    try {
      return takeLock(this.#file(tar, 'lock'), `making ${this.name(tar)}`, { overHosts: true });
    } catch (error) {
      if (error instanceof PaellaError && error.code === 'unsupported') return null;
      throw error;
    }
  }

  /** Writes a tar and then its record. */
  async write(
    tar: number,
    { members, items, failed }: Content,
    maker: Pick<TarRecord, 'adapter' | 'version'>,
  ): Promise<void> {
    const bytes = await tarOf(members);
    const record: TarRecord = {
      tar: this.name(tar),
      sha256: createHash('sha256').update(bytes).digest('hex'),
      bytes: bytes.length,
      items,
      failed: [...failed],
      ...maker,
    };
    // A process of another machine may have been faster: its tar and record belong together.
    if (this.record(tar)) return;
    writeResult(this.#file(tar, 'tar'), bytes);
    writeResult(this.#file(tar, 'json'), `${JSON.stringify(record)}\n`);
  }

  /**
   * Writes the manifest if all tars are complete. Every shard's process tries when it ends: the last one finds all
   * records, and if it was two at once, they write the same.
   *
   * @returns its path, or null while tars are missing
   */
  finish(): string | null {
    const tars: TarRecord[] = [];
    for (let tar = 0; tar < this.work.tars; tar++) {
      const record = this.record(tar);
      if (!record) return null;
      tars.push(record);
    }
    const sum = (count: (record: TarRecord) => number): number =>
      tars.reduce((total, record) => total + count(record), 0);
    const manifest = {
      format: 'paella-bulk/1',
      settings: this.work.settings,
      items: sum(({ items }) => items),
      failed: sum(({ failed }) => failed.length),
      tars,
    };
    const path = join(this.path, 'manifest.json');
    writeResult(path, `${JSON.stringify(manifest, null, 2)}\n`);
    this.#tidy();
    return path;
  }

  /** Removes what killed processes left: marks, and files that were never finished. */
  #tidy(): void {
    for (const name of readdirSync(this.path)) {
      const isLeft =
        /\.(tmp|old|lock)$/.test(name) && name.replace(/^\./, '').startsWith(`${this.work.prefix}-`);
      if (isLeft) rmSync(join(this.path, name), { force: true });
    }
  }

  #stem(tar: number): string {
    return `${this.work.prefix}-${String(tar).padStart(5, '0')}`;
  }

  #file(tar: number, extension: 'tar' | 'json' | 'lock'): string {
    return join(this.path, `${this.#stem(tar)}.${extension}`);
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new PaellaError('format', `${file} is damaged: ${reason(cause)}`, { cause });
  }
}
