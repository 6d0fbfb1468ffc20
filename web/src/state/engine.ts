import { signal } from '@preact/signals';
import * as engine from '../engine/client.js';
import type { EngineInfo, LoadProgress } from '../engine/protocol.js';
import { type Trouble, troubleOf } from './trouble.js';

/** Where the engine is with starting. */
export type Phase =
  | { kind: 'loading'; progress: LoadProgress | null }
  | { kind: 'ready' }
  | { kind: 'failed'; trouble: Trouble };

export const phase = signal<Phase>({ kind: 'loading', progress: null });
/** The adapter and the model, once they are there. */
export const info = signal<EngineInfo | null>(null);

export async function start(): Promise<void> {
  phase.value = { kind: 'loading', progress: null };
  try {
    info.value = await engine.start((progress) => {
      phase.value = { kind: 'loading', progress };
    });
    phase.value = { kind: 'ready' };
  } catch (error) {
    phase.value = { kind: 'failed', trouble: troubleOf(error) };
  }
}
