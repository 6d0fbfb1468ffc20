/** The folder of a training run, and what may be done with it. */
import { PaellaError } from '@paella/tensor';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { reason, writeResult } from '../files.js';
import { differences, listOf } from './differences.js';
import { takeLock } from './lock.js';

/** `run.json` */
interface RunFile {
  kind: string;
  config: Record<string, unknown>;
  created: string;
  /** The processes that trained here, the first one first. */
  sessions: { started: string; version: string; node: string; command: string[] }[];
}

/** Settings that may change when a run goes on: how long it runs and what it writes, not what it learns. */
const mayChange = [
  'steps',
  'checkpoint_every',
  'keep_checkpoints',
  'log_every',
  'grid_every',
  'compare_every',
];

/** A folder that one process trains in at a time. */
export class RunFolder {
  readonly path: string;
  readonly config: Record<string, unknown>;
  readonly kind: string;
  readonly #unlock: () => void;

  private constructor(path: string, { kind, config }: RunFile, unlock: () => void) {
    this.path = path;
    this.kind = kind;
    this.config = config;
    this.#unlock = unlock;
  }

  /**
   * Opens a folder for a run.
   *
   * @param run.config without functions or classes: it is written as JSON
   * @param run.resume go on with the run that is there
   * @throws PaellaError `argument` if there is a run and it is not to be resumed, or it is another kind of run or has
   *   another configuration; `not-found` if there is nothing to resume; `unsupported` if another process trains here
   */
  static open(
    path: string,
    run: { kind: string; config: object; version: string; resume: boolean },
  ): RunFolder {
    const file = join(path, 'run.json');
    if (run.resume && !existsSync(file)) throw nothingToResume(path);
    makeFolder(path);
    const unlock = takeLock(join(path, 'lock'), `training in ${path}`);
    try {
      const before = existsSync(file) ? readRun(file) : null;
      const config = JSON.parse(JSON.stringify(run.config)) as RunFile['config'];
      if (before) checkResume(path, before, { ...run, config });
      const started = new Date().toISOString();
      const { version } = run;
      const session = { started, version, node: process.version, command: process.argv.slice(2) };
      const content: RunFile = {
        kind: run.kind,
        config,
        created: before?.created ?? started,
        sessions: [...(before?.sessions ?? []), session],
      };
      writeResult(file, `${JSON.stringify(content, null, 2)}\n`);
      return new RunFolder(path, content, unlock);
    } catch (error) {
      unlock();
      throw error;
    }
  }

  /**
   * The configuration that a run was begun with.
   *
   * @throws PaellaError `not-found` if there is no run, `argument` if it is of another kind
   */
  static storedConfig(path: string, kind: string): unknown {
    const file = join(path, 'run.json');
    if (!existsSync(file)) throw nothingToResume(path);
    const run = readRun(file);
    checkKind(path, run, kind);
    return run.config;
  }

  /** A path inside, whose folder exists. */
  file(...parts: string[]): string {
    mkdirSync(join(this.path, ...parts.slice(0, -1)), { recursive: true });
    return join(this.path, ...parts);
  }

  /** Lets other processes train here. */
  close(): void {
    this.#unlock();
  }
}

const nothingToResume = (path: string): PaellaError =>
  new PaellaError('not-found', `${path} holds no run to resume`, { fix: 'Leave --resume out to begin one.' });

function checkKind(path: string, run: RunFile, kind: string): void {
  if (run.kind === kind) return;
  throw new PaellaError('argument', `${path} holds a run of ${run.kind}, not of ${kind}`, {
    fix: `Resume it with the command that trains ${run.kind}, or name another folder with --out.`,
  });
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new PaellaError('not-found', `${path} cannot be the folder of a run: ${reason(cause)}`, { cause });
  }
}

function readRun(file: string): RunFile {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as RunFile;
  } catch (cause) {
    throw new PaellaError('format', `${file} is damaged: ${reason(cause)}`, { cause });
  }
}

function checkResume(
  path: string,
  before: RunFile,
  { kind, config, resume }: { kind: string; config: RunFile['config']; resume: boolean },
): void {
  if (!resume) {
    throw new PaellaError('argument', `${path} already holds a run`, {
      fix: 'Add --resume to go on with it, or name another folder with --out.',
    });
  }
  checkKind(path, before, kind);
  const changed = differences(before.config, config).filter(({ key }) => !isFree(key));
  if (changed.length === 0) return;
  throw new PaellaError('argument', `${path} was begun with another configuration: ${listOf(changed)}`, {
    fix: `Only ${mayChange.join(', ')} may change; begin another run for the rest.`,
  });
}

const isFree = (key: string): boolean => mayChange.some((name) => key === `training.${name}`);
