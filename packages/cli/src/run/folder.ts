/** The folder of a training run, and what may be done with it. */
import { PaellaError } from '@paella/tensor';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { writeResult } from '../files.js';

interface RunFile {
  kind: string;
  config: Record<string, unknown>;
  created: string;
  version: string;
}

/** Settings that may change when a run goes on: how long it runs and what it writes, not what it learns. */
const mayChange = ['steps', 'checkpoint_every', 'keep_checkpoints', 'log_every', 'grid_every'];

/** A folder that one process trains in at a time. */
export class RunFolder {
  readonly path: string;
  readonly config: Record<string, unknown>;
  readonly kind: string;

  private constructor(path: string, kind: string, config: Record<string, unknown>) {
    this.path = path;
    this.kind = kind;
    this.config = config;
  }

  /**
   * Opens a folder for a run.
   *
   * @param options.resume go on with the run that is there
   * @throws PaellaError `argument` if there is a run and it is not to be resumed, or it is another kind of run or has
   *   another configuration; `not-found` if there is nothing to resume; `unsupported` if another process trains here
   */
  static open(
    path: string,
    run: { kind: string; config: object; version: string; resume: boolean },
  ): RunFolder {
    const file = join(path, 'run.json');
    const config = JSON.parse(JSON.stringify(run.config)) as Record<string, unknown>;
    if (existsSync(file)) {
      if (!run.resume) {
        throw new PaellaError('argument', `${path} already holds a run`, {
          fix: 'Add --resume to go on with it, or name another folder with --out.',
        });
      }
      const before = JSON.parse(readFileSync(file, 'utf8')) as RunFile;
      if (before.kind !== run.kind) {
        throw new PaellaError('argument', `${path} holds a run of ${before.kind}, not of ${run.kind}`);
      }
      const changed = differences(before.config, config).filter((key) => !isFree(key));
      if (changed.length > 0) {
        throw new PaellaError(
          'argument',
          `${path} was begun with another configuration: ${changed.join(', ')}`,
          {
            fix: `Only ${mayChange.join(', ')} may change; begin another run for the rest.`,
          },
        );
      }
    } else {
      if (run.resume) throw new PaellaError('not-found', `${path} holds no run to resume`);
      mkdirSync(path, { recursive: true });
    }
    const folder = new RunFolder(path, run.kind, config);
    folder.#lock();
    const content: RunFile = {
      kind: run.kind,
      config,
      created: new Date().toISOString(),
      version: run.version,
    };
    writeResult(file, `${JSON.stringify(content, null, 2)}\n`);
    return folder;
  }

  /** A path inside, whose folder exists. */
  file(...parts: string[]): string {
    mkdirSync(join(this.path, ...parts.slice(0, -1)), { recursive: true });
    return join(this.path, ...parts);
  }

  /** Lets other processes train here. */
  close(): void {
    rmSync(join(this.path, 'lock'), { force: true });
  }

  #lock(): void {
    const lock = join(this.path, 'lock');
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      return;
    } catch {
      const owner = Number(readFileSync(lock, 'utf8'));
      if (owner !== process.pid && isAlive(owner)) {
        throw new PaellaError('unsupported', `process ${owner} is training in ${this.path}`, {
          fix: 'Wait until it ends, or stop it.',
        });
      }
    }
    writeFileSync(lock, String(process.pid)); // left by a process that was killed
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const isFree = (key: string): boolean => mayChange.some((name) => key === `training.${name}`);

/** Keys, with dots, whose values differ. */
function differences(a: unknown, b: unknown, prefix = ''): string[] {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject(a) || !isObject(b)) return isDeepStrictEqual(a, b) ? [] : [prefix];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) => differences(a[key], b[key], prefix ? `${prefix}.${key}` : key));
}
