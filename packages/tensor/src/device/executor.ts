import type { Kernel, Launch } from '@paella/kernels';
import type { PaellaError } from '../errors.js';
import type { Sample } from './profiler.js';

/** A device buffer. The pool is its only owner; `gpu` is absent on the meta device. */
export interface DeviceBuffer {
  readonly id: number;
  readonly bytes: number;
  readonly gpu?: GPUBuffer;
  /** For a part of a larger buffer: which one, and where it begins. */
  readonly part?: { of: number; offset: number };
}

/**
 * What stands between the engine and a device: operations, run in the order in which they are
 * called. `GpuExecutor` performs them, `MetaExecutor` only counts.
 */
export interface Executor {
  /** Resolves when the device is gone. */
  readonly lost: Promise<PaellaError>;
  createBuffer(bytes: number): DeviceBuffer;
  destroyBuffer(buffer: DeviceBuffer): void;
  /** `bytes` bytes of a buffer from `offset` on, both in bytes. */
  partOf(buffer: DeviceBuffer, offset: number, bytes: number): DeviceBuffer;
  dispatch(launch: Launch, buffers: readonly DeviceBuffer[]): void;
  /** Writes `data` at the start of the buffer. The caller may reuse `data` at once. */
  upload(buffer: DeviceBuffer, data: ArrayBufferView<ArrayBuffer>): void;
  /** Reads the first `bytes` bytes, after everything recorded before. */
  read(buffer: DeviceBuffer, bytes: number): Promise<ArrayBuffer>;
  /** Resolves when everything recorded so far is on the device's queue. */
  flush(): Promise<void>;
  /** Resolves when everything recorded so far has run. */
  synchronize(): Promise<void>;
  /** Runs `work` and measures every dispatch it records. */
  profile(work: () => Promise<void>): Promise<Sample[]>;
  /** Compiles without running. */
  compile(launch: Launch): Promise<void>;
  destroy(): void;
}

/** Counters since the device was made or {@link Stats} were reset. */
export interface Stats {
  dispatches: number;
  submits: number;
  flops: number;
  /** Operand bytes that the kernels read and wrote, each operand counted once. */
  bytes: number;
  uploadedBytes: number;
  pipelines: number;
  buffersCreated: number;
  bindGroupsCreated: number;
}

export const emptyStats = (): Stats => ({
  dispatches: 0,
  submits: 0,
  flops: 0,
  bytes: 0,
  uploadedBytes: 0,
  pipelines: 0,
  buffersCreated: 0,
  bindGroupsCreated: 0,
});

/** One value for every pipeline: a kernel with the values of its constants. */
export class ByPipeline<T> {
  readonly #variants = new Map<Kernel, { constants: Launch['constants']; value: T }[]>();

  /** The value of the launch's pipeline; `make` is called the first time. */
  get(launch: Launch, make: (launch: Launch) => T): T {
    const { kernel, constants } = launch;
    let variants = this.#variants.get(kernel);
    if (!variants) this.#variants.set(kernel, (variants = []));
    // A kernel has a handful of variants: comparing is faster than spelling out a key for every dispatch.
    for (const variant of variants) if (isSame(variant.constants, constants)) return variant.value;
    const value = make(launch);
    variants.push({ constants, value });
    return value;
  }
}

/** Whether two launches of one kernel have equal constants. */
function isSame(a: Launch['constants'], b: Launch['constants']): boolean {
  let balance = 0;
  for (const name in a) {
    if (a[name] !== b[name]) return false;
    balance++;
  }
  for (const _ in b) balance--;
  return balance === 0;
}
