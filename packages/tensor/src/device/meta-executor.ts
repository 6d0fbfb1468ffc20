import type { Launch } from '@paella/kernels';
import { PaellaError } from '../errors.js';
import { ByPipeline, type DeviceBuffer, type Executor, type Stats } from './executor.js';
import type { Sample } from './profiler.js';

/** Counts what a device would have to do, and does none of it. */
export class MetaExecutor implements Executor {
  readonly #stats: Stats;
  readonly #pipelines = new ByPipeline<true>();
  readonly #onPipeline: (launch: Launch) => void;
  #nextId = 0;
  /** Never: there is nothing that could be lost. */
  readonly lost = new Promise<PaellaError>(() => {});

  /** @param onPipeline called with the first launch of each pipeline */
  constructor(stats: Stats, onPipeline: (launch: Launch) => void = () => {}) {
    this.#stats = stats;
    this.#onPipeline = onPipeline;
  }

  createBuffer(bytes: number): DeviceBuffer {
    this.#stats.buffersCreated++;
    return { id: this.#nextId++, bytes };
  }

  destroyBuffer(): void {}

  partOf(_buffer: DeviceBuffer, _offset: number, bytes: number): DeviceBuffer {
    return { id: this.#nextId++, bytes };
  }

  dispatch(launch: Launch): void {
    this.#count(launch);
    const stats = this.#stats;
    stats.dispatches++;
    stats.flops += launch.cost.flops;
    stats.bytes += launch.cost.bytes;
  }

  upload(_buffer: DeviceBuffer, data: ArrayBufferView): void {
    this.#stats.uploadedBytes += data.byteLength;
  }

  read(): Promise<ArrayBuffer> {
    return Promise.reject(
      new PaellaError('unsupported', 'a tensor of the meta device has a shape but no values', {
        fix: "Create the device with adapter 'auto' to compute values.",
      }),
    );
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  synchronize(): Promise<void> {
    return Promise.resolve();
  }

  profile(): Promise<Sample[]> {
    return Promise.reject(
      new PaellaError('unsupported', 'the meta device runs nothing that could be measured'),
    );
  }

  compile(launch: Launch): Promise<void> {
    this.#count(launch);
    return Promise.resolve();
  }

  destroy(): void {}

  #count(launch: Launch): void {
    this.#pipelines.get(launch, () => {
      this.#stats.pipelines++;
      this.#onPipeline(launch);
      return true;
    });
  }
}
