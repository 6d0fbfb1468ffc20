/** What processes that work together can say to each other. */

import { PaellaError } from '../errors.js';

/** Numbers that can be added up over processes; a `Uint16Array` holds the bits of f16 numbers. */
export type Summable = Float32Array | Uint32Array | Uint16Array;

/**
 * Processes that were launched together. All of them make the same calls in the same order; a call ends when all have
 * made it.
 */
export interface Group {
  /** The number of this process, from 0. */
  readonly rank: number;
  readonly size: number;
  /** The number of this process among those of its host, from 0: which of the host's adapters it takes. */
  readonly localRank: number;
  /**
   * Replaces values by their sum, or their largest, over all processes. All processes get the same bits.
   *
   * @param values the same number of them in all processes; where they are still to come, the call takes its place in the
   *   order nevertheless
   * @param op f16 numbers can only be added up, in f32, and are rounded once; `max` of u32 only below 2³¹: MPICH 4.0 and Open MPI 4.1 compare larger ones as if they had a sign
   * @param op f16 numbers can only be added up: in f32, and rounded once
   * @returns `values`
   */
  allReduce<T extends Summable>(values: T | Promise<T>, op?: 'sum' | 'max'): Promise<T>;
  /**
   * Replaces bytes by those of one process.
   *
   * @param data the same number of bytes in all processes, perhaps still to come
   * @returns `data`
   */
  broadcast<T extends ArrayBufferView>(data: T | Promise<T>, root?: number): Promise<T>;
  /** Everybody's value, by rank, as JSON carries it. */
  allGather<T>(value: T): Promise<T[]>;
  /** Waits until all processes have come this far. */
  barrier(): Promise<void>;
  /** Tells the other processes why this one cannot go on, and ends it; they end too. */
  abort(reason: string): Promise<never>;
  /** Waits for the others and leaves. Nothing can be said afterwards. */
  finalize(): Promise<void>;
}

/** A process without others: everything is said at once. */
export const alone: Group = {
  rank: 0,
  size: 1,
  localRank: 0,
  allReduce: async (values) => values,
  broadcast: async (data) => data,
  allGather: async (value) => [value],
  barrier: async () => {},
  abort: async (reason) => {
    throw new PaellaError('aborted', reason);
  },
  finalize: async () => {},
};
