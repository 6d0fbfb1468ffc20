import { type ErrorCode, PaellaError } from '@paella/tensor';
import type { RgbaImage } from 'paella';
import { decode, draw } from './draw.js';
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
import { type Session, describeSession, openSession } from './session.js';

/** After these a device computes nothing any more: what a failed command should have written is missing. */
const FATAL: ReadonlySet<ErrorCode> = new Set(['out-of-memory', 'validation']);

/** What the page talks to: one device and one model, in a worker of their own, so that the page never waits for them. */
export class Engine {
  #session: Session | null = null;
  /** Why the device was given up. */
  #fatal: PaellaError | null = null;
  #running: AbortController | null = null;
  /** Resolves when all that was asked for has ended. */
  #ended: Promise<unknown> = Promise.resolve();

  /**
   * Loads a model, on a new device if there is none. The model before stays if this fails.
   *
   * @throws PaellaError `unsupported` without WebGPU, `no-adapter` without an adapter, `not-found`, `format` or
   *   `state-dict` if the files are no complete model
   */
  start(source: ModelSource, onProgress: (progress: StartProgress) => void): Promise<EngineInfo> {
    return this.#inTurn(async () => {
      const before = this.#session;
      const session = await openSession(source, { device: before?.device, onProgress });
      before?.pipeline.dispose();
      this.#session = session;
      this.#fatal = null;
      void session.device.lost.then(() => {
        if (this.#session?.device === session.device) this.#session = null;
      });
      return describeSession(session);
    });
  }

  /** Rejects when the device is gone, saying why; {@link start} makes a new one. */
  async lost(): Promise<never> {
    const error = await (this.#session?.device.lost ?? noDevice());
    throw this.#fatal ?? error;
  }

  /** Takes the device away, as a driver would that crashes. */
  loseDevice(): void {
    this.#session?.device.destroy();
  }

  /** Answers: the worker is not stuck. */
  ping(): void {}

  /** @throws PaellaError for a request that does not fit the model, `aborted` after {@link cancel} */
  draw(request: DrawRequest, onStep: (report: StepReport) => void): Promise<DrawResult> {
    return this.#exclusively(({ pipeline }, signal) => draw(pipeline, request, { signal, onStep }));
  }

  /**
   * Draws again, and measures it.
   *
   * @param onProgress is told the share that is done
   * @throws PaellaError as {@link draw} does
   */
  inspect(request: DrawRequest, onProgress: (share: number) => void): Promise<Inspection> {
    return this.#exclusively(async (session, signal) => {
      const { inspect } = await import('./inspect.js');
      return inspect(session, request, { signal, onProgress });
    });
  }

  /**
   * Measures the kernels.
   *
   * @throws PaellaError `aborted` after {@link cancel}, between two cases
   */
  bench(options: SuiteOptions, onReport: (report: SuiteReport) => void): Promise<void> {
    return this.#exclusively(async ({ device }, signal) => {
      const { runKernelSuite } = await import('@paella/bench/kernel-suite');
      await runKernelSuite(device, options, { signal, onReport });
    });
  }

  /**
   * Teaches the U-Net pictures. It draws with what it learned from then on, also after {@link cancel}.
   *
   * @throws PaellaError as `fineTune` of the library does
   */
  train(request: TrainRequest, onReport: (report: TrainReport) => void): Promise<void> {
    return this.#exclusively(async ({ pipeline }, signal) => {
      const { train } = await import('./train.js');
      await train(pipeline, request, { signal, onReport });
    });
  }

  /** Forgets everything that {@link train} taught. */
  undoTraining(): Promise<void> {
    return this.#exclusively(async ({ pipeline }) => {
      const { undoFineTuning } = await import('./train.js');
      await undoFineTuning(pipeline);
    });
  }

  /** The U-Net's weights as a safetensors file, which {@link start} takes. */
  weights(): Promise<Blob> {
    return this.#exclusively(async ({ pipeline }) => {
      const { weightsOf } = await import('./train.js');
      return weightsOf(pipeline);
    });
  }

  /** The memory that the engine has of the device now; null while there is none. */
  memory(): MemoryUse | null {
    return this.#session?.device.memory() ?? null;
  }

  /**
   * The pictures of tokens, after everything that was asked for earlier.
   *
   * @param grid height and width in tokens
   * @throws PaellaError `shape` or `argument` for tokens of another model, `device-lost` before {@link start}
   */
  decode(tokens: readonly Uint32Array[], grid: [number, number]): Promise<RgbaImage[]> {
    return this.#inTurn(() => {
      if (!this.#session) throw noDevice();
      return decode(this.#session.pipeline, tokens, grid);
    });
  }

  /** Stops what runs, before its next step. */
  cancel(): void {
    this.#running?.abort();
  }

  /**
   * One thing at a time: scopes of the engine cannot overlap. What was stopped may end its step first.
   *
   * @throws PaellaError `argument` while something else runs, `device-lost` before {@link start}
   */
  async #exclusively<T>(work: (session: Session, signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#running && !this.#running.signal.aborted) {
      throw new PaellaError('argument', 'the engine is busy', { fix: 'Wait for it, or stop what it does.' });
    }
    const running = new AbortController();
    this.#running = running;
    try {
      return await this.#inTurn(() => {
        if (!this.#session) throw noDevice();
        return work(this.#session, running.signal);
      });
    } finally {
      if (this.#running === running) this.#running = null;
    }
  }

  /** Runs after everything that was asked for earlier. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#ended.then(work);
    this.#ended = mine.catch((error: unknown) => {
      if (!(error instanceof PaellaError) || !FATAL.has(error.code)) return;
      this.#fatal = error;
      this.loseDevice();
    });
    return mine;
  }
}

const noDevice = (): PaellaError => new PaellaError('device-lost', 'there is no device with a model on it');
