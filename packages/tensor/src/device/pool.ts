import type { DeviceBuffer } from './executor.js';

/** Bytes and tensors in use on a device. */
export interface MemoryUse {
  /** In buffers that a live tensor holds. */
  liveBytes: number;
  /** In buffers kept for reuse. */
  pooledBytes: number;
  /** The most that live and pooled buffers held together since the start or the last `resetPeak`. */
  peakBytes: number;
  /** The most that live buffers alone held since then: what an allocator that wastes nothing would need. */
  peakLiveBytes: number;
  liveTensors: number;
}

/**
 * Sizes are rounded up so that there are at most 16 of them between one power of two and the next. That
 * wastes 6 % at worst, and nothing on the round sizes that models are made of.
 */
function sizeClass(bytes: number): number {
  const step = Math.max(16, 2 ** (Math.floor(Math.log2(bytes)) - 4));
  return Math.max(16, Math.ceil(bytes / step) * step);
}

/**
 * Every buffer of a device comes from here and goes back here; only the pool creates and destroys them.
 *
 * A queue runs its commands in order, so a buffer that the host has let go may be handed out again at
 * once: whatever still reads it was recorded earlier and runs earlier. A buffer serves its own size class
 * only, so a loop whose steps need the same sizes never allocates again after its first full step; and the
 * oldest free buffer is given first, so that such steps get the same buffers and their bind groups can be
 * reused.
 */
export class BufferPool {
  readonly #create: (bytes: number) => DeviceBuffer;
  readonly #destroy: (buffer: DeviceBuffer) => void;
  /** Free buffers by size, the oldest last. */
  readonly #free = new Map<number, DeviceBuffer[]>();
  liveBytes = 0;
  pooledBytes = 0;
  peakBytes = 0;
  peakLiveBytes = 0;

  constructor(create: (bytes: number) => DeviceBuffer, destroy: (buffer: DeviceBuffer) => void) {
    this.#create = create;
    this.#destroy = destroy;
  }

  /** A buffer of at least `bytes` bytes, in whole vec4s, with unspecified content. */
  acquire(bytes: number): DeviceBuffer {
    const size = sizeClass(bytes);
    const reused = this.#free.get(size)?.pop();
    if (reused) this.pooledBytes -= size;
    const buffer = reused ?? this.#create(size);
    this.liveBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes + this.pooledBytes);
    this.peakLiveBytes = Math.max(this.peakLiveBytes, this.liveBytes);
    return buffer;
  }

  release(buffer: DeviceBuffer): void {
    this.liveBytes -= buffer.bytes;
    this.pooledBytes += buffer.bytes;
    const free = this.#free.get(buffer.bytes) ?? [];
    this.#free.set(buffer.bytes, free);
    const older = free.findIndex(({ id }) => id < buffer.id);
    free.splice(older < 0 ? free.length : older, 0, buffer);
  }

  /** Destroys the buffers that are not in use. */
  trim(): void {
    for (const buffer of [...this.#free.values()].flat()) this.#destroy(buffer);
    this.#free.clear();
    this.pooledBytes = 0;
  }

  resetPeak(): void {
    this.peakBytes = this.liveBytes + this.pooledBytes;
    this.peakLiveBytes = this.liveBytes;
  }
}
