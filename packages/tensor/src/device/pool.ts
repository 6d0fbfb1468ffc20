import type { DeviceBuffer } from './executor.js';

/** Bytes and tensors in use on a device. */
export interface MemoryUse {
  /** In buffers that a live tensor holds. */
  liveBytes: number;
  /** In buffers kept for reuse. */
  pooledBytes: number;
  /** The most that live and pooled buffers held together since the start or the last `resetPeak`. */
  peakBytes: number;
  liveTensors: number;
}

/** How much larger than asked a reused buffer may be. */
const SLACK = 1.25;

/**
 * Every buffer of a device comes from here and goes back here; only the pool creates and destroys them.
 *
 * A queue runs its commands in order, so a buffer that the host has let go may be handed out again at
 * once: whatever still reads it was recorded earlier and runs earlier. Equal sequences of requests get
 * equal sequences of buffers, which is what lets bind groups be cached from one step to the next.
 */
export class BufferPool {
  readonly #create: (bytes: number) => DeviceBuffer;
  readonly #destroy: (buffer: DeviceBuffer) => void;
  /** Free buffers, smallest first. */
  readonly #free: DeviceBuffer[] = [];
  liveBytes = 0;
  pooledBytes = 0;
  peakBytes = 0;

  constructor(create: (bytes: number) => DeviceBuffer, destroy: (buffer: DeviceBuffer) => void) {
    this.#create = create;
    this.#destroy = destroy;
  }

  /** A buffer of at least `bytes` bytes with unspecified content. */
  acquire(bytes: number): DeviceBuffer {
    // Whole vec4s, so that a kernel may read the last one of an odd-sized tensor.
    const wanted = Math.max(16, Math.ceil(bytes / 16) * 16);
    const index = this.#firstAtLeast(wanted);
    let buffer: DeviceBuffer;
    if (index < this.#free.length && this.#free[index].bytes <= wanted * SLACK) {
      [buffer] = this.#free.splice(index, 1);
      this.pooledBytes -= buffer.bytes;
    } else {
      buffer = this.#create(wanted);
    }
    this.liveBytes += buffer.bytes;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes + this.pooledBytes);
    return buffer;
  }

  release(buffer: DeviceBuffer): void {
    this.liveBytes -= buffer.bytes;
    this.pooledBytes += buffer.bytes;
    this.#free.splice(this.#firstAtLeast(buffer.bytes), 0, buffer);
  }

  /** Destroys the buffers that are not in use. */
  trim(): void {
    for (const buffer of this.#free.splice(0)) {
      this.pooledBytes -= buffer.bytes;
      this.#destroy(buffer);
    }
  }

  resetPeak(): void {
    this.peakBytes = this.liveBytes + this.pooledBytes;
  }

  #firstAtLeast(bytes: number): number {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#free[middle].bytes < bytes) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
