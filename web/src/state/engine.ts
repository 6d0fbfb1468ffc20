import { signal } from '@preact/signals';
import * as engine from '../engine/client.js';
import type { EngineInfo, ModelSource, StartProgress } from '../engine/protocol.js';
import { notify } from './notices.js';
import { type Remedy, type Trouble, troubleOf, troubleWith } from './trouble.js';

/** Where the engine is with starting. */
export type Phase =
  /** `isAgain`: after a loss, or with another model. */
  | { kind: 'loading'; progress: StartProgress | null; isAgain: boolean }
  | { kind: 'ready' }
  | { kind: 'failed'; trouble: Trouble };

export const phase = signal<Phase>({ kind: 'loading', progress: null, isAgain: false });
/** The adapter and the model, once they are there. */
export const info = signal<EngineInfo | null>(null);
/** Where the model comes from that draws now. */
export const source = signal<ModelSource>({ files: null });

/** More losses than these within a minute, and it is not tried again without being asked to. */
const MAX_LOSSES = 2;
let losses: number[] = [];
let starting: Promise<void> | null = null;

/** Opens an adapter and loads the model. Never rejects: {@link phase} tells how it went. */
export const start = (): Promise<void> => inTurn(() => open(source.value));

/** What there is to tell when it is back; after other errors, whoever met them says so. */
const restored: Partial<Record<Trouble['code'], string>> = {
  'device-lost': 'The graphics device was lost for a moment. It is back, and nothing is lost.',
  crashed: 'The engine stopped, and was started again. Nothing is lost.',
};

/** {@link start} because the reader asks for it. */
export function retry(): Promise<void> {
  losses = [];
  return start();
}

/**
 * Draws with checkpoints of one's own from now on: a whole model, with a `model.json` or under the released names, or
 * parts that take the place of the site's own. Never rejects, as for the next: {@link phase} or a notice says why not.
 */
export const loadFiles = (files: File[]): Promise<void> => change({ files: byPath(files) });

/** Draws with the site's model again. */
export const loadEmbedded = (): Promise<void> => change({ files: null });

/**
 * Restores the engine after its device was lost or its worker crashed; once, however many notice.
 *
 * @param cause the error that told of it
 */
export function recover(cause: unknown): Promise<void> {
  return inTurn(async () => {
    const { code } = troubleOf(cause);
    const now = performance.now();
    losses = [...losses.filter((time) => now - time < 60_000), now];
    if (losses.length > MAX_LOSSES) {
      phase.value = { kind: 'failed', trouble: troubleWith('device-lost') };
      return;
    }
    await open(source.value);
    const text = restored[code];
    if (text && phase.value.kind === 'ready') notify({ kind: 'info', text });
  });
}

/** Those who come while it starts get what comes of that. */
function inTurn(work: () => Promise<void>): Promise<void> {
  starting ??= work().finally(() => {
    starting = null;
  });
  return starting;
}

/** A model that does not load leaves the one before in its place. */
async function change(to: ModelSource): Promise<void> {
  await starting;
  await inTurn(async () => {
    const before = phase.value;
    await open(to);
    if (phase.value.kind !== 'failed' || before.kind !== 'ready') return;
    const { message, advice } = phase.value.trouble;
    notify({ kind: 'error', text: `${message} ${advice}`.trim() });
    phase.value = before;
  });
}

async function open(from: ModelSource): Promise<void> {
  const isAgain = info.value !== null;
  phase.value = { kind: 'loading', progress: null, isAgain };
  try {
    info.value = await engine.start(from, (progress) => {
      if (phase.value.kind === 'loading') phase.value = { kind: 'loading', progress, isAgain };
    });
    source.value = from;
    phase.value = { kind: 'ready' };
    void engine.lost().then(recover);
  } catch (error) {
    phase.value = { kind: 'failed', trouble: troubleOfStart(error, from) };
  }
}

/** Nothing is drawn yet: what an error means then. */
function troubleOfStart(error: unknown, { files }: ModelSource): Trouble {
  const { code, message, advice } = troubleOf(error);
  // A browser without WebGPU stays one.
  const remedies: Remedy[] = code === 'unsupported' ? [] : ['retry'];
  const trouble: Trouble = { code, message, advice, remedies };
  if (code === 'out-of-memory' || code === 'limits') {
    return {
      ...trouble,
      message: 'The model does not fit into the graphics memory.',
      advice: 'Close other pages and programs that use it, and try again.',
    };
  }
  // The site's own model is there, or it did not arrive whole.
  if (!files && (code === 'not-found' || code === 'format')) {
    return { ...trouble, message: 'The model could not be downloaded.', advice: `${message} ${advice}` };
  }
  return trouble;
}

/** Of a folder's files, paths begin below it; the worker gets them without. */
function byPath(files: File[]): Map<string, File> {
  const below = ({ webkitRelativePath, name }: File): string =>
    (webkitRelativePath || name).replace(/^[^/]*\//, '');
  return new Map(files.map((file) => [below(file), file]));
}
