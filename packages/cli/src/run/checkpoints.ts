/** Checkpoints: whole or absent, whenever the process dies. */
import { PaellaError, type StateDict, loadStateDict, saveSafetensors } from '@paella/tensor';
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { reason } from '../files.js';

/** What a checkpoint holds besides tensors. */
export type CheckpointState = Record<string, unknown>;

export interface Checkpoint {
  /** Its folder. */
  path: string;
  step: number;
  state: CheckpointState;
  parts: Record<string, StateDict>;
}

/** What a file must be to be whole. */
interface Fingerprint {
  bytes: number;
  sha256: string;
}

/** `state.json`, written last. */
interface StateFile {
  step: number;
  parts: Record<string, Fingerprint>;
  state: CheckpointState;
}

const nameOf = (step: number): string => `step-${String(step).padStart(8, '0')}`;
const folderOf = (run: string): string => join(run, 'checkpoints');

/**
 * Writes `checkpoints/step-…`: one safetensors file a part, and `state.json`. They are written into a temporary folder,
 * which gets its name when everything is on the disk. Then all but the newest `keep` are removed.
 *
 * @param run its folder, which no other process may write to
 * @param parts `model`, `optimizer`, …: names of files
 * @param state whatever else a resume needs; it must survive JSON
 * @returns the checkpoint's folder
 * @throws PaellaError `argument` if the state holds a number that JSON has no form for
 */
export async function saveCheckpoint(
  run: string,
  step: number,
  parts: Record<string, StateDict>,
  state: CheckpointState,
  { keep }: { keep: number },
): Promise<string> {
  const folder = folderOf(run);
  const temporary = join(folder, `.${nameOf(step)}.${randomUUID()}.tmp`);
  const json = toJson(state);
  await mkdir(temporary, { recursive: true });
  removeLeftovers(folder, temporary);
  try {
    const fingerprints: StateFile['parts'] = {};
    for (const [name, tensors] of Object.entries(parts)) {
      fingerprints[name] = await writeSynced(join(temporary, `${name}.safetensors`), (write) =>
        saveSafetensors(write, tensors).then(() => {}),
      );
    }
    const text = `{"step":${step},"parts":${JSON.stringify(fingerprints)},"state":${json}}\n`;
    await writeSynced(join(temporary, 'state.json'), (write) => write(Buffer.from(text)));
    await syncFolder(temporary);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  const final = join(folder, nameOf(step));
  discard(folder, step); // of a run that came this far before
  renameSync(temporary, final);
  await syncFolder(folder);
  prune(folder, step, keep);
  return final;
}

/**
 * The newest whole checkpoint, null if there is none; `note` hears of damaged ones. Its files are read when tensors are
 * asked for, after their contents were compared with what was written.
 */
export async function loadLatestCheckpoint(
  run: string,
  note: (message: string) => void,
): Promise<Checkpoint | null> {
  const folder = folderOf(run);
  if (!existsSync(folder)) return null;
  removeLeftovers(folder);
  for (const step of stepsIn(folder).reverse()) {
    const path = join(folder, nameOf(step));
    try {
      const { state, parts } = await readWhole(path);
      const opened: Checkpoint['parts'] = {};
      for (const part of parts) opened[part] = await loadStateDict(join(path, `${part}.safetensors`));
      return { path, step, state, parts: opened };
    } catch (error) {
      note(`${path} is damaged, and passed over: ${reason(error)}`);
    }
  }
  return null;
}

/** The folder of the newest checkpoint; null if there is none here. Whether it is damaged shows when it is loaded. */
export function newestCheckpoint(run: string): string | null {
  const folder = folderOf(run);
  const step = existsSync(folder) ? stepsIn(folder).at(-1) : undefined;
  return step === undefined ? null : join(folder, nameOf(step));
}

/** JSON, refusing numbers that it would turn into null: a resume must not find something else. */
function toJson(state: CheckpointState): string {
  return JSON.stringify(state, (key, value: unknown) => {
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new PaellaError('argument', `the state of a checkpoint cannot hold ${value} as "${key}"`);
    }
    return value;
  });
}

/** Writes a file and has it put on the disk. */
async function writeSynced(
  path: string,
  content: (write: (chunk: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<Fingerprint> {
  const hash = createHash('sha256');
  let bytes = 0;
  const file = await open(path, 'wx');
  try {
    await content(async (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      await file.writeFile(chunk);
    });
    await file.sync();
  } finally {
    await file.close();
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Has the names in a folder put on the disk, where the system can do that: Windows cannot. */
async function syncFolder(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    await handle.sync();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP'].includes(code ?? '')) throw error;
  } finally {
    await handle?.close();
  }
}

/** @throws Error saying what is damaged */
async function readWhole(path: string): Promise<{ state: CheckpointState; parts: string[] }> {
  const { parts, state } = JSON.parse(readFileSync(join(path, 'state.json'), 'utf8')) as StateFile;
  for (const [name, written] of Object.entries(parts)) {
    const hash = createHash('sha256');
    const file = createReadStream(join(path, `${name}.safetensors`));
    await pipeline(file, hash);
    if (file.bytesRead !== written.bytes) {
      throw new Error(`${name} has ${file.bytesRead} bytes of ${written.bytes}`);
    }
    if (hash.digest('hex') !== written.sha256) throw new Error(`${name} is not what was written`);
  }
  return { state, parts: Object.keys(parts) };
}

/** In rising order. */
function stepsIn(folder: string): number[] {
  return readdirSync(folder)
    .flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/**
 * Removes all but the newest `keep` up to this step. Later ones are removed too: they are the damaged ones that a resume
 * passed over, and would count as the newest for ever.
 */
function prune(folder: string, step: number, keep: number): void {
  const steps = stepsIn(folder);
  const kept = new Set(steps.filter((one) => one <= step).slice(-Math.max(1, keep)));
  for (const old of steps) if (!kept.has(old)) discard(folder, old);
}

/** Takes the name away first: a checkpoint is never half there. */
function discard(folder: string, step: number): void {
  const path = join(folder, nameOf(step));
  if (!existsSync(path)) return;
  const aside = join(folder, `.${nameOf(step)}.${randomUUID()}.tmp`);
  renameSync(path, aside);
  rmSync(aside, { recursive: true, force: true });
}

/** Removes what a killed process was writing or deleting. */
function removeLeftovers(folder: string, except?: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (/^\.step-.*\.tmp$/.test(name) && path !== except) rmSync(path, { recursive: true, force: true });
  }
}
