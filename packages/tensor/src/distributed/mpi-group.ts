/// <reference types="node" />
/** A group of processes over MPI. */
import { hostname } from 'node:os';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { PaellaError } from '../errors.js';
import { f16ToF32, f32ToF16 } from '../io/half.js';
import type { Group, Summable } from './group.js';
import type { Mpi } from './mpi.js';
import { type Meeting, Watch } from './watch.js';

/** Turns of the event loop to ask at once, before naps of a millisecond. */
const EAGER = 50;
/** Milliseconds in which the watch usually says better than MPI what happened. */
const HEARSAY = 5000;

export class MpiGroup implements Group {
  readonly rank: number;
  readonly size: number;
  localRank = 0;
  readonly #mpi: Mpi;
  readonly #end: (reason: string) => never;
  #watch: Watch | null = null;
  /** Calls wait for those before them. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(mpi: Mpi, end: (reason: string) => never) {
    this.rank = mpi.rank;
    this.size = mpi.size;
    this.#mpi = mpi;
    this.#end = end;
  }

  /** @param end ends the process, having said why */
  static async open(mpi: Mpi, end: (reason: string) => never): Promise<MpiGroup> {
    const group = new MpiGroup(mpi, end);
    const opened = mpi.rank === 0 ? await Watch.open(end) : null;
    const all = await group.allGather({ host: hostname(), meeting: opened?.meeting ?? null });
    group.localRank = all.slice(0, mpi.rank).filter(({ host }) => host === hostname()).length;
    group.#watch = opened?.watch ?? (await Watch.join(all[0].meeting as Meeting, mpi.rank, end));
    await group.barrier();
    return group;
  }

  allReduce<T extends Summable>(values: T | Promise<T>, op: 'sum' | 'max' = 'sum'): Promise<T> {
    expected(values);
    return this.#call(async () => {
      const own = await values;
      await this.#meet();
      if (own instanceof Uint16Array) await this.#sumHalves(own);
      else await this.#mpi.allReduce(own, op);
      return own;
    });
  }

  broadcast<T extends ArrayBufferView>(data: T | Promise<T>, root = 0): Promise<T> {
    expected(data);
    return this.#call(async () => {
      const own = await data;
      await this.#meet();
      await this.#mpi.broadcast(bytesOf(own), root);
      return own;
    });
  }

  allGather<T>(value: T): Promise<T[]> {
    return this.#call(async () => {
      const text = new TextEncoder().encode(JSON.stringify(value));
      await this.#meet();
      const longest = Uint32Array.of(text.length);
      await this.#mpi.allReduce(longest, 'max');
      // JSON ends with white space.
      const own = new Uint8Array(longest[0]).fill(0x20);
      own.set(text);
      const all = new Uint8Array(this.size * own.length);
      await this.#mpi.allGather(own, all);
      return Array.from({ length: this.size }, (_, rank) => {
        const part = all.subarray(rank * own.length, (rank + 1) * own.length);
        return JSON.parse(new TextDecoder().decode(part)) as T;
      });
    });
  }

  barrier(): Promise<void> {
    return this.#call(() => this.#meet());
  }

  async abort(reason: string): Promise<never> {
    await this.#watch?.tell(reason);
    return this.#end(reason);
  }

  async finalize(): Promise<void> {
    await this.barrier();
    this.#watch?.close();
    await this.#call(() => this.#mpi.finalize());
  }

  /** MPI knows no f16. Each process adds up a slice, in f32, and rounds it once; half of the bytes travel. */
  async #sumHalves(own: Uint16Array): Promise<void> {
    const slice = Math.ceil(own.length / this.size);
    const padded = new Uint16Array(slice * this.size);
    padded.set(own);
    const parts = new Uint16Array(padded.length);
    await this.#mpi.allToAll(bytesOf(padded), bytesOf(parts));
    const sum = new Float32Array(slice);
    for (let rank = 0; rank < this.size; rank++) {
      const part = f16ToF32(parts.subarray(rank * slice, (rank + 1) * slice));
      for (let i = 0; i < slice; i++) sum[i] += part[i];
    }
    await this.#mpi.allGather(bytesOf(f32ToF16(sum)), bytesOf(padded));
    own.set(padded.subarray(0, own.length));
  }

  /** Makes calls one after the other, in the order in which they were asked for. After one that failed there is none. */
  #call<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => patiently(work));
    this.#last = result;
    result.catch(() => {}); // whoever asked hears of it
    return result;
  }

  /**
   * Waits for all processes to come to this call. MPI's own waiting keeps a core busy, which a process that still
   * computes may need: so it is asked now and then, and does its work when nobody has to wait.
   */
  async #meet(): Promise<void> {
    this.#mpi.arrive();
    for (let turn = 0; !this.#mpi.haveAllArrived(); turn++) await (turn < EAGER ? nextTurn() : sleep(1));
  }
}

/** A call of MPI that failed waits for a better reason. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PaellaError && error.code === 'peer-lost') await sleep(HEARSAY);
    throw error;
  }
}

/** A value that fails before its turn comes is an error of its call, not of the process. */
function expected(value: unknown): void {
  if (value instanceof Promise) value.catch(() => {});
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
