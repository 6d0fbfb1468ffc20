import type { Launch } from '@paella/kernels';
import type { Sample } from './profiler.js';

/** What was measured for one choice between variants that compute the same. */
export interface TunedChoice {
  /** The kernel, and its sizes as powers of two. */
  key: string;
  /** Time on the device of each variant, the planner's own guess first; what runs until the next choice is in it. */
  milliseconds: Record<string, number>;
  choice: string;
}

/** Another variant than the planner's must take no more than this share of its time: less is noise. */
const WORTH_IT = 0.95;

interface Variant {
  key: string;
  name: string;
}

/**
 * Answers planners that ask which variant to launch, with every variant in turn, and sums up what each takes. The
 * whole work runs each time, so that a variant is measured among its real neighbours, and all choices at once.
 */
export class Tuner {
  /** The least that a call took, by choice and variant; variants in the order of the planner. */
  readonly #least = new Map<string, Map<string, number>>();
  readonly #owners = new Map<Launch, Variant>();
  readonly #calls = new Map<string, number>();
  #asked: Variant | null = null;
  #round = 0;

  /** For {@link Capabilities.choose}. */
  readonly choose = (key: string, candidates: readonly string[]): string => {
    let least = this.#least.get(key);
    if (!least) this.#least.set(key, (least = new Map()));
    for (const name of candidates) if (!least.has(name)) least.set(name, Infinity);
    const name = candidates[this.#round % candidates.length];
    this.#asked = { key, name };
    this.#calls.set(idOf(this.#asked), (this.#calls.get(idOf(this.#asked)) ?? 0) + 1);
    return name;
  };

  /** The most variants of any choice seen so far. */
  get rounds(): number {
    return Math.max(0, ...[...this.#least.values()].map(({ size }) => size));
  }

  /** Begins a run in which every choice falls on its variant number `round`. */
  begin(round: number): void {
    this.#round = round;
    this.#asked = null;
    this.#owners.clear();
    this.#calls.clear();
  }

  /** Counts a launch to the choice that was made last. */
  count(launch: Launch): void {
    if (this.#asked) this.#owners.set(launch, this.#asked);
  }

  /** Ends a run. */
  end(samples: readonly Sample[]): void {
    const sums = new Map<string, Variant & { milliseconds: number }>();
    for (const { launch, milliseconds } of samples) {
      const owner = this.#owners.get(launch);
      if (!owner) continue;
      const sum = sums.get(idOf(owner));
      if (sum) sum.milliseconds += milliseconds;
      else sums.set(idOf(owner), { ...owner, milliseconds });
    }
    for (const [id, { key, name, milliseconds }] of sums) {
      const least = this.#least.get(key)!;
      least.set(name, Math.min(least.get(name)!, milliseconds / this.#calls.get(id)!));
    }
  }

  /** What was found, by key. */
  results(): TunedChoice[] {
    return [...this.#least]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, least]) => {
        const [[guess, time]] = least;
        const [fastest] = [...least].sort(([, a], [, b]) => a - b);
        const choice = fastest[1] < WORTH_IT * time ? fastest[0] : guess;
        return { key, milliseconds: Object.fromEntries(least), choice };
      });
  }
}

const idOf = ({ key, name }: Variant): string => `${key} ${name}`;
