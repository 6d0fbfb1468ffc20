/** How fast bulk work goes, and how long the rest will take. */
import type { Group } from '@paella/tensor/distributed';
import type { Output } from '../output.js';

/**
 * A time for people: `40 s`, `5 min`, `2 h 10 min`.
 *
 * @param seconds from 0 on
 */
export function duration(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Counts items as they are made: a bar on a terminal, and a line a tar in the log of a job. */
export class Progress {
  readonly #out: Output;
  /** Where several processes work and one speaks: whose pace it is. */
  readonly #whose: string;
  #tars: number;
  #total: number | null;
  readonly #started = performance.now();
  #items = 0;
  #tarsDone = 0;

  /**
   * @param total items of all tars, null where only reading them would tell
   * @param processes of which this is one
   */
  constructor(out: Output, tars: number, total: number | null, { rank, size }: Pick<Group, 'rank' | 'size'>) {
    this.#out = out;
    this.#whose = size === 1 ? '' : ` in rank ${rank} of ${size}`;
    this.#tars = tars;
    this.#total = total;
  }

  /** Items that have been made. */
  add(items: number): void {
    this.#items += items;
    if (this.#total === null) this.#out.progress(this.#pace(), this.#tarsDone, this.#tars);
    else this.#out.progress(this.#pace(), this.#items, this.#total);
  }

  /** A tar is complete. */
  tar(name: string): void {
    this.#tarsDone++;
    this.#out.note(`${name} (${this.#tarsDone}/${this.#tars}): ${this.#pace()}`);
  }

  /** A tar is no work of this process after all. */
  leave(items: number | null): void {
    this.#tars--;
    if (this.#total !== null) this.#total -= items ?? 0;
  }

  /** Since the start. */
  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  #pace(): string {
    const share = this.#total === null ? this.#tarsDone / this.#tars : this.#items / this.#total;
    const rate = `${(this.#items / this.seconds).toPrecision(3)} items/s${this.#whose}`;
    return share > 0 && share < 1 ? `${rate}, ${duration((this.seconds / share) * (1 - share))} left` : rate;
  }
}
