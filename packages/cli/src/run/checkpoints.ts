/** Checkpoints: whole or absent, whenever the process dies. */
import { type StateDict, loadStateDict, saveSafetensors } from '@paella/tensor';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a checkpoint holds besides tensors. */
export type CheckpointState = Record<string, unknown>;

export interface Checkpoint {
  step: number;
  state: CheckpointState;
  parts: Record<string, StateDict>;
}

interface StateFile {
  step: number;
  /** Bytes of each part's file, by name: a file of another length is damaged. */
  parts: Record<string, number>;
  state: CheckpointState;
}

const nameOf = (step: number): string => `step-${String(step).padStart(8, '0')}`;
const folderOf = (run: string): string => join(run, 'checkpoints');

/** Writes a checkpoint into a temporary folder and renames that; then removes all but the newest `keep`. */
export async function saveCheckpoint(
  run: string,
  step: number,
  parts: Record<string, StateDict>,
  state: CheckpointState,
  { keep }: { keep: number },
): Promise<string> {
  const folder = folderOf(run);
  const temporary = join(folder, `.${nameOf(step)}.tmp`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  const sizes: Record<string, number> = {};
  for (const [name, tensors] of Object.entries(parts)) {
    const path = join(temporary, `${name}.safetensors`);
    await saveSafetensors(path, tensors);
    sizes[name] = statSync(path).size;
    sync(path);
  }
  const stateFile: StateFile = { step, parts: sizes, state };
  writeFileSync(join(temporary, 'state.json'), JSON.stringify(stateFile));
  sync(join(temporary, 'state.json'));
  const final = join(folder, nameOf(step));
  rmSync(final, { recursive: true, force: true });
  renameSync(temporary, final);
  sync(folder);
  for (const old of steps(run).slice(0, -keep)) {
    rmSync(join(folder, nameOf(old)), { recursive: true, force: true });
  }
  return final;
}

/** The newest complete checkpoint, null if there is none; `note` hears of damaged ones. */
export async function loadLatestCheckpoint(
  run: string,
  note: (message: string) => void,
): Promise<Checkpoint | null> {
  const folder = folderOf(run);
  if (!existsSync(folder)) return null;
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.tmp')) rmSync(join(folder, name), { recursive: true, force: true });
  }
  for (const step of steps(run).reverse()) {
    const path = join(folder, nameOf(step));
    const file = readState(path);
    if (!file) {
      note(`${path} is damaged, and passed over`);
      continue;
    }
    const parts: Record<string, StateDict> = {};
    for (const part of Object.keys(file.parts))
      parts[part] = await loadStateDict(join(path, `${part}.safetensors`));
    return { step, state: file.state, parts };
  }
  return null;
}

function readState(path: string): StateFile | null {
  try {
    const file = JSON.parse(readFileSync(join(path, 'state.json'), 'utf8')) as StateFile;
    const whole = Object.entries(file.parts).every(
      ([name, size]) => statSync(join(path, `${name}.safetensors`)).size === size,
    );
    return whole ? file : null;
  } catch {
    return null;
  }
}

/** In rising order. */
function steps(run: string): number[] {
  return readdirSync(folderOf(run))
    .flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Has the operating system put a file or folder on the disk. */
function sync(path: string): void {
  const handle = openSync(path, 'r');
  fsyncSync(handle);
  closeSync(handle);
}
