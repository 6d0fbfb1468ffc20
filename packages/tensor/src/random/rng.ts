import { type Distribution, type EntryStream, type RandomStream, planDraw } from '@paella/kernels';
import type { Device } from '../device/device.js';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { scaleWord, streamWords } from './threefry.js';

/** All there is to know about a generator, as it is saved in checkpoints. */
export interface RngState {
  /** In decimal digits: JSON has no 64-bit integers. */
  seed: string;
  /** The number of the next draw. */
  counter: number;
}

/**
 * A counter-based random number generator on Threefry-2x32.
 *
 * Every draw takes the next stream number: the first draw of a generator is stream 0. Word i of a stream is
 * half `i & 1` of `threefry2x32(key, [stream, i >> 1])`, where the key is the seed's upper and lower 32 bits
 * (as in JAX's `PRNGKey`), and element i of a draw is made from word i. So equal seeds and equal sequences of
 * draws give equal random bits on every adapter, on the host, in Node and in browsers, whatever the shapes.
 */
export class Rng {
  readonly seed: bigint;
  #counter = 0;
  #entries: { first: number; step: number } | null = null;

  /**
   * @param seed a whole number in [0, 2^64); above 2^53 a bigint
   * @param counter the number of the next draw
   * @throws PaellaError `argument` for a seed or counter out of range
   */
  constructor(seed: number | bigint, counter = 0) {
    if (typeof seed === 'number' ? !Number.isSafeInteger(seed) || seed < 0 : seed < 0n || seed >= 1n << 64n) {
      throw new PaellaError('argument', `a seed is a whole number in [0, 2^64), got ${seed}`, {
        fix: 'Numbers above 2^53 must be bigints.',
      });
    }
    this.seed = BigInt(seed);
    this.counter = counter;
  }

  /** A generator that goes on where the one that gave `state()` was. */
  static from(state: RngState): Rng {
    if (!/^\d{1,20}$/.test(state.seed)) {
      throw new PaellaError('argument', `a saved seed is made of decimal digits, got '${state.seed}'`);
    }
    return new Rng(BigInt(state.seed), state.counter);
  }

  state(): RngState {
    return { seed: this.seed.toString(), counter: this.counter };
  }

  /** The number of the next draw. Set it back to repeat draws. */
  get counter(): number {
    return this.#counter;
  }

  set counter(value: number) {
    if (!Number.isInteger(value) || value < 0 || value > 2 ** 32) {
      throw new PaellaError('argument', `a draw's number is a whole number in [0, 2^32], got ${value}`);
    }
    this.#counter = value;
  }

  /**
   * A generator whose draws do not depend on the batch. Of a tensor `[B,…]`, entry b is what the generator of the seed
   * `fold_in(seed, first + b·step)` draws for a tensor `[…]`, with JAX's `fold_in`: `threefry2x32(key, [0, index])`. So
   * a picture of a given index is the same in whatever batch it is drawn.
   *
   * It starts at this generator's counter and has its own from there. It draws tensors, not arrays on the host.
   *
   * @param first index of the first entry
   * @param step from an entry's index to the next; with 0 all entries draw the same
   * @throws PaellaError `argument` unless both are whole numbers in [0, 2^32)
   */
  forEntries(first = 0, step = 1): Rng {
    if (![first, step].every((value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32)) {
      throw new PaellaError(
        'argument',
        `forEntries: expects whole numbers in [0, 2^32), got ${first} and ${step}`,
      );
    }
    const rng = new Rng(this.seed, this.#counter);
    rng.#entries = { first, step };
    return rng;
  }

  /**
   * Takes the next stream, for an op that makes its random numbers itself.
   *
   * @throws PaellaError `argument` after 2^32 draws, or if the generator draws by entries
   */
  next(): RandomStream {
    if (this.#entries) {
      throw new PaellaError('argument', 'the generator draws by entries, and this draw has none', {
        fix: 'Use the generator that forEntries() was called on.',
      });
    }
    return this.#take();
  }

  /**
   * {@link next}, for an op that can draw by entries.
   *
   * @param shape of what is drawn; its first dimension counts the entries
   * @throws PaellaError `argument` after 2^32 draws
   */
  nextOf([count = 1]: readonly number[]): EntryStream {
    const stream = this.#take();
    return this.#entries ? { ...stream, entries: { ...this.#entries, count } } : stream;
  }

  #take(): RandomStream {
    const stream = this.#counter;
    if (stream === 2 ** 32) {
      throw new PaellaError('argument', 'the generator has made its 2^32 draws', {
        fix: 'Use another seed.',
      });
    }
    this.#counter++;
    return { key: [Number(this.seed >> 32n), Number(this.seed & 0xffffffffn)], stream };
  }

  /**
   * Uniform f32 in `[low, high)`: multiples of (high − low)·2^-24 above low, from the top 24 bits of a word.
   *
   * @throws PaellaError `argument` if low > high
   */
  uniform(device: Device, shape: readonly number[], { low = 0, high = 1 } = {}): Tensor {
    if (!(low <= high)) {
      throw new PaellaError('argument', `uniform: expects low ≤ high, got [${low}, ${high})`);
    }
    return this.#draw(device, shape, { kind: 'uniform', low, high });
  }

  /**
   * Normal f32, by Box–Muller over pairs of words. The bits underneath are equal everywhere; the values of two
   * adapters may differ by 1e-5 standard deviations, the freedom that WGSL leaves to logarithm and root.
   */
  normal(device: Device, shape: readonly number[], { mean = 0, std = 1 } = {}): Tensor {
    return this.#draw(device, shape, { kind: 'normal', mean, std });
  }

  /**
   * Whole numbers in `[low, high)` as u32, exact on every adapter: `low + floor(word · (high − low) / 2^32)`.
   * No number's probability is off by more than 2^-32; powers of two are exact.
   *
   * @throws PaellaError `argument` unless 0 ≤ low < high ≤ 2^32 are whole numbers, with high − low < 2^32
   */
  randint(device: Device, low: number, high: number, shape: readonly number[]): Tensor {
    const count = high - low;
    if (![low, high].every(Number.isInteger) || low < 0 || high > 2 ** 32 || count < 1 || count === 2 ** 32) {
      throw new PaellaError(
        'argument',
        `randint: expects whole numbers 0 ≤ low < high, got [${low}, ${high})`,
        {
          fix: 'For all of the 2^32 numbers use bits().',
        },
      );
    }
    return this.#draw(device, shape, { kind: 'integers', low, count });
  }

  /** The words of the stream themselves, u32. */
  bits(device: Device, shape: readonly number[]): Tensor {
    return this.#draw(device, shape, { kind: 'bits' });
  }

  /** What {@link uniform} over [0, 1) draws, on the host. */
  uniformArray(count: number): Float32Array<ArrayBuffer> {
    const { key, stream } = this.next();
    return Float32Array.from(streamWords(key, stream, count), (word) => (word >>> 8) * 2 ** -24);
  }

  /** The numbers 0 … n − 1 in random order, on the host (Fisher–Yates; step i uses word i). */
  permutation(n: number): Uint32Array<ArrayBuffer> {
    const { key, stream } = this.next();
    const words = streamWords(key, stream, n);
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = scaleWord(words[i], i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  #draw(device: Device, shape: readonly number[], what: Distribution): Tensor {
    const out = device.empty(shape, what.kind === 'bits' || what.kind === 'integers' ? 'u32' : 'f32');
    device.run(planDraw(what, out.size, this.nextOf(shape), device.capabilities), [out]);
    return out;
  }
}
