import type { DeviceBuffer } from './executor.js';

/** Bytes and tensors in use on a device. */
export interface MemoryUse {
  /** In buffers that a live tensor holds. */
  liveBytes: number;
  /** In buffers kept for reuse. */
  pooledBytes: number;
  /** The most that live and pooled buffers held together since the start or the last `resetPeak`. */
  peakBytes: number;
  /** The most that live tensors needed since then: what an allocator that wastes nothing would hold. */
  peakLiveBytes: number;
  liveTensors: number;
}

/**
 * Sizes come in classes, of which there are 16 from one power of two to the next, so that rounding up wastes 6 % at
 * worst, and nothing on the round sizes that models are made of.
 */
function classOf(bytes: number): number {
  if (bytes <= 256) return Math.max(1, Math.ceil(bytes / 16));
  const octave = Math.floor(Math.log2(bytes));
  return 16 * (octave - 8) + Math.ceil(bytes / 2 ** (octave - 4));
}

/** The bytes of a class: the inverse of {@link classOf}. */
function bytesOfClass(index: number): number {
  if (index <= 16) return 16 * index;
  return (16 + (index % 16)) * 2 ** (3 + Math.floor(index / 16));
}

/** A free buffer that is up to so many classes larger serves a request: three octaves, 8 times the size. */
const REACH = 48;

/**
 * Every buffer of a device comes from here and goes back here; only the pool creates and destroys them.
 *
 * A queue runs its commands in order, so a buffer that the host has let go may be handed out again at
 * once: whatever still reads it was recorded earlier and runs earlier. The smallest free buffer that is large enough
 * is given, of equal ones the oldest. So a loop whose steps need the same sizes never allocates again after its first
 * full steps, and later steps get the same buffers, so that their bind groups can be reused.
 */
export class BufferPool {
  readonly #create: (bytes: number) => DeviceBuffer;
  readonly #destroy: (buffer: DeviceBuffer) => void;
  /** Free buffers by class, the oldest last. */
  readonly #free: (DeviceBuffer[] | undefined)[] = [];
  /** What the holders of live buffers asked for, in whole classes, by buffer. */
  readonly #needed = new Map<number, number>();
  #neededBytes = 0;
  /** Whether requests get buffers of their own class only. */
  isExact = false;
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
    const wanted = classOf(bytes);
    const size = bytesOfClass(wanted);
    const reused = this.#reuse(wanted);
    if (reused) this.pooledBytes -= reused.bytes;
    const buffer = reused ?? this.#create(size);
    this.#needed.set(buffer.id, size);
    this.#neededBytes += size;
    this.liveBytes += buffer.bytes;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes + this.pooledBytes);
    this.peakLiveBytes = Math.max(this.peakLiveBytes, this.#neededBytes);
    return buffer;
  }

  release(buffer: DeviceBuffer): void {
    this.#neededBytes -= this.#needed.get(buffer.id) ?? 0;
    this.#needed.delete(buffer.id);
    this.liveBytes -= buffer.bytes;
    this.pooledBytes += buffer.bytes;
    const free = (this.#free[classOf(buffer.bytes)] ??= []);
    const older = free.findIndex(({ id }) => id < buffer.id);
    free.splice(older < 0 ? free.length : older, 0, buffer);
  }

  /** Destroys the buffers that are not in use. */
  trim(): void {
    for (const buffer of this.#free.flatMap((free) => free ?? [])) this.#destroy(buffer);
    this.#free.length = 0;
    this.pooledBytes = 0;
  }

  resetPeak(): void {
    this.peakBytes = this.liveBytes + this.pooledBytes;
    this.peakLiveBytes = this.#neededBytes;
  }

  #reuse(wanted: number): DeviceBuffer | undefined {
    const last = this.isExact ? wanted : wanted + REACH;
    for (let index = wanted; index <= last; index++) {
      const buffer = this.#free[index]?.pop();
      if (buffer) return buffer;
    }
    return undefined;
  }
}
