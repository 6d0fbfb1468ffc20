import type { Launch } from '@paella/kernels';
import type { KernelProfile } from './profiler.js';

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
  profile(work: () => Promise<void>): Promise<KernelProfile[]>;
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

/** What tells one pipeline from another. */
export function pipelineKey(launch: Launch): string {
  const constants = Object.entries(launch.constants).map(([name, value]) => `${name}=${value}`);
  return `${launch.kernel.name}(${constants.join(',')})`;
}
