import * as Comlink from 'comlink';
import type { Engine } from './engine.js';
import type { DrawRequest, DrawResult, EngineInfo, LoadProgress, StepReport } from './protocol.js';

const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module', name: 'engine' });
const engine = Comlink.wrap<Engine>(worker);

/** See {@link Engine.start}. */
export const start = (onProgress: (progress: LoadProgress) => void): Promise<EngineInfo> =>
  engine.start(Comlink.proxy(onProgress));

/** See {@link Engine.draw}. */
export const draw = (request: DrawRequest, onStep: (report: StepReport) => void): Promise<DrawResult> =>
  engine.draw(request, Comlink.proxy(onStep));

/** See {@link Engine.cancel}. */
export const cancel = (): Promise<void> => engine.cancel();
