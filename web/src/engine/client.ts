import { signal } from '@preact/signals';
import * as Comlink from 'comlink';
import type { RgbaImage } from 'paella';
import { WorkerConnection } from '../worker-connection.js';
import type { Engine } from './engine.js';
import type {
  DrawRequest,
  DrawResult,
  EngineInfo,
  Inspection,
  MemoryUse,
  ModelSource,
  StartProgress,
  StepReport,
  SuiteOptions,
  SuiteReport,
  TrainReport,
  TrainRequest,
} from './protocol.js';

/** Calls that take long and exclude each other: there are 0 or 1, but for one that was stopped and ends its step. */
export const running = signal(0);
/** Whether the worker has not answered for a while. */
export const isStuck = signal(false);

const connection = new WorkerConnection<Engine>(
  'the engine',
  () => new Worker(new URL('worker.ts', import.meta.url), { type: 'module', name: 'engine' }),
);

/** Asks the engine, in a new worker after a crash. */
const ask = <T>(call: (engine: Comlink.Remote<Engine>) => Promise<T>): Promise<T> => connection.ask(call);

/** Asks for what takes long. */
async function run<T>(call: (engine: Comlink.Remote<Engine>) => Promise<T>): Promise<T> {
  running.value++;
  const stopWatching = watch();
  try {
    return await ask(call);
  } finally {
    stopWatching();
    running.value--;
  }
}

const PING_MS = 5000;
/** The page's own sleep costs one. */
const MISSED_PINGS = 6;

/** Keeps an eye on the worker: one that computes on the device answers at once, one that is stuck does not. */
function watch(): () => void {
  let missed = 0;
  const timer = setInterval(() => {
    missed++;
    isStuck.value = missed > MISSED_PINGS;
    if (missed > 1) return;
    ask((engine) => engine.ping()).then(
      () => {
        missed = 0;
        isStuck.value = false;
      },
      () => {}, // the call that is watched rejects as well
    );
  }, PING_MS);
  return () => {
    clearInterval(timer);
    isStuck.value = false;
  };
}

/** Ends a worker that is stuck; what was asked of it rejects. */
export function giveUp(): void {
  connection.fail('it did not answer any more');
}

/** See {@link Engine.start}. */
export const start = (
  source: ModelSource,
  onProgress: (progress: StartProgress) => void,
): Promise<EngineInfo> => ask((engine) => engine.start(source, Comlink.proxy(onProgress)));

/** Resolves when the device or the whole worker is gone, with the error that says why: {@link start} again. */
export const lost = (): Promise<unknown> => ask((engine) => engine.lost()).catch((error: unknown) => error);

/** See {@link Engine.loseDevice}. */
export const loseDevice = (): Promise<void> => ask((engine) => engine.loseDevice());

/** See {@link Engine.draw}. */
export const draw = (request: DrawRequest, onStep: (report: StepReport) => void): Promise<DrawResult> =>
  run((engine) => engine.draw(request, Comlink.proxy(onStep)));

/** See {@link Engine.inspect}. */
export const inspect = (request: DrawRequest, onProgress: (share: number) => void): Promise<Inspection> =>
  run((engine) => engine.inspect(request, Comlink.proxy(onProgress)));

/** See {@link Engine.bench}. */
export const bench = (options: SuiteOptions, onReport: (report: SuiteReport) => void): Promise<void> =>
  run((engine) => engine.bench(options, Comlink.proxy(onReport)));

/** See {@link Engine.train}. */
export const train = (request: TrainRequest, onReport: (report: TrainReport) => void): Promise<void> =>
  run((engine) => engine.train(request, Comlink.proxy(onReport)));

/** See {@link Engine.undoTraining}. */
export const undoTraining = (): Promise<void> => run((engine) => engine.undoTraining());

/** See {@link Engine.weights}. */
export const weights = (): Promise<Blob> => run((engine) => engine.weights());

/** See {@link Engine.memory}. */
export const memory = (): Promise<MemoryUse | null> => ask((engine) => engine.memory());

/** See {@link Engine.decode}. */
export const decode = (tokens: readonly Uint32Array[], grid: [number, number]): Promise<RgbaImage[]> =>
  ask((engine) => engine.decode(tokens, grid));

/** See {@link Engine.cancel}. */
export const cancel = (): Promise<void> => ask((engine) => engine.cancel());
