import type { Launch } from '@paella/kernels';

/** Time on the device, by kernel. */
export interface KernelProfile {
  kernel: string;
  calls: number;
  milliseconds: number;
  flops: number;
  bytes: number;
}

/** Time on the device of one dispatch. */
export interface Sample {
  launch: Launch;
  milliseconds: number;
}

const PASSES = 1024;

/**
 * Measures each dispatch with timestamp queries, in a compute pass of its own. Queries are read back
 * whenever a set of them is full.
 */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #samples: Sample[] = [];
  #launches: Launch[] = [];
  #readbacks: Promise<void>[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.createQuerySet({ label: 'profile', type: 'timestamp', count: 2 * PASSES });
    this.#resolved = device.createBuffer({
      label: 'profile',
      size: 16 * PASSES,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  /** Where the pass of the next dispatch writes its times. */
  writes(launch: Launch): GPUComputePassTimestampWrites {
    const index = 2 * this.#launches.length;
    this.#launches.push(launch);
    return {
      querySet: this.#queries,
      beginningOfPassWriteIndex: index,
      endOfPassWriteIndex: index + 1,
    };
  }

  get isFull(): boolean {
    return this.#launches.length === PASSES;
  }

  /** Encodes the readback of what was measured so far; call `collect` once it is submitted. */
  resolve(encoder: GPUCommandEncoder): () => void {
    const launches = this.#launches;
    this.#launches = [];
    if (launches.length === 0) return () => {};
    const size = 16 * launches.length;
    const staging = this.#device.createBuffer({
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    encoder.resolveQuerySet(this.#queries, 0, 2 * launches.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, size);
    return () => {
      const readback = staging.mapAsync(GPUMapMode.READ).then(() => {
        const times = new BigUint64Array(staging.getMappedRange());
        launches.forEach((launch, i) => {
          this.#samples.push({ launch, milliseconds: Number(times[2 * i + 1] - times[2 * i]) / 1e6 });
        });
        staging.destroy();
      });
      readback.catch(() => {}); // nobody waits for it if the work that is measured fails
      this.#readbacks.push(readback);
    };
  }

  /** What was measured. */
  async finish(): Promise<Sample[]> {
    await Promise.all(this.#readbacks);
    this.#queries.destroy();
    this.#resolved.destroy();
    return this.#samples;
  }
}

/** Sums by kernel, the most expensive first. */
export function byKernel(samples: readonly Sample[]): KernelProfile[] {
  const rows = new Map<string, KernelProfile>();
  for (const { launch, milliseconds } of samples) {
    const kernel = launch.kernel.name;
    const row = rows.get(kernel) ?? { kernel, calls: 0, milliseconds: 0, flops: 0, bytes: 0 };
    row.calls++;
    row.milliseconds += milliseconds;
    row.flops += launch.cost.flops;
    row.bytes += launch.cost.bytes;
    rows.set(kernel, row);
  }
  return [...rows.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}
