import { Device, PaellaError } from '@paella/tensor';
import { type Model, type Range, Pipeline } from 'paella';
import { draw } from './draw.js';
import type { DrawRequest, DrawResult, EngineInfo, LoadProgress, ModelInfo, StepReport } from './protocol.js';

/** What the page talks to: one device and one model, in a worker of their own, so that the page never waits for them. */
export class Engine {
  #session: { device: Device; pipeline: Pipeline } | null = null;
  #running: AbortController | null = null;

  /**
   * Opens an adapter and loads the embedded model.
   *
   * @throws PaellaError `unsupported` without WebGPU, `no-adapter` without an adapter, `not-found` without the weights
   */
  async start(onProgress: (progress: LoadProgress) => void): Promise<EngineInfo> {
    const device = await Device.create();
    const pipeline = await Pipeline.load('default', { device, onProgress });
    this.#session = { device, pipeline };
    return { adapter: device.info, model: describe(pipeline.model, pipeline) };
  }

  /** @throws PaellaError for a request that does not fit the model, `aborted` after {@link cancel} */
  draw(request: DrawRequest, onStep: (report: StepReport) => void): Promise<DrawResult> {
    return this.#exclusively(({ pipeline }, signal) => draw(pipeline, request, { signal, onStep }));
  }

  /** Stops what runs, before its next step. */
  cancel(): void {
    this.#running?.abort();
  }

  /** One thing at a time: scopes of the engine cannot overlap. */
  async #exclusively<T>(
    work: (session: { device: Device; pipeline: Pipeline }, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (!this.#session) throw new PaellaError('not-found', 'no model is loaded yet');
    if (this.#running) {
      throw new PaellaError('argument', 'the engine is busy', { fix: 'Wait for it, or stop what it does.' });
    }
    this.#running = new AbortController();
    try {
      return await work(this.#session, this.#running.signal);
    } finally {
      this.#running = null;
    }
  }
}

function describe(model: Model, pipeline: Pipeline): ModelInfo {
  const { name, imageSize, factor, numLabels, captions, sampler } = model;
  const [first, last] = [sampler.temperature].flat().slice(0, 2) as [number, number?];
  return {
    name,
    imageSize: [...imageSize],
    sizeMultiple: pipeline.sizeMultiple,
    factor,
    numLabels,
    takesImages: pipeline.takesImages,
    styles: [...captions.styles],
    defaults: {
      steps: sampler.steps,
      renoiseSteps: sampler.renoiseSteps,
      temperature: [first, last ?? first],
      cfg: startOf(sampler.cfg),
    },
  };
}

const startOf = (range: Range): number => (typeof range === 'number' ? range : range[0]);
