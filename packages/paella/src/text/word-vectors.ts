import { type Device, PaellaError, type StateDict, type Tensor } from '@paella/tensor';
import type { Span } from './prompt-weights.js';

/**
 * A frozen table of word vectors, one a word of the prompt: the text encoder of the small embedded model,
 * in the place ByT5 has in the original. It runs on the host; there is nothing to compute.
 */
export class WordVectorEncoder {
  readonly device: Device;
  readonly dim: number;
  readonly maxWords: number;
  readonly #index: ReadonlyMap<string, number>;
  readonly #vectors: Int8Array;
  readonly #scales: Float32Array;

  private constructor(
    device: Device,
    maxWords: number,
    words: readonly string[],
    vectors: Int8Array,
    scales: Float32Array,
    dim: number,
  ) {
    this.device = device;
    this.dim = dim;
    this.maxWords = maxWords;
    this.#index = new Map(words.map((word, i) => [word, i]));
    this.#vectors = vectors;
    this.#scales = scales;
  }

  /**
   * @param vocabulary one word a line
   * @param state `vectors` i8 `[words,dim]` and `scale` f32 `[words]`; a word's vector is their product
   * @param maxWords words of a prompt that are used
   * @throws PaellaError `format` if the two do not fit together
   */
  static async load(
    device: Device,
    vocabulary: string,
    state: StateDict,
    { maxWords }: { maxWords: number },
  ): Promise<WordVectorEncoder> {
    const words = vocabulary.split('\n').filter((line) => line !== '');
    const vectors = await state.get('vectors');
    const scales = await state.get('scale');
    const dim = vectors.shape[1];
    if (
      !(vectors.data instanceof Int8Array && scales.data instanceof Float32Array) ||
      vectors.shape[0] !== words.length ||
      scales.shape[0] !== words.length
    ) {
      throw new PaellaError('format', 'the word vectors do not fit the vocabulary', {
        operands: {
          vocabulary: `${words.length} words`,
          vectors: `${vectors.dtype} [${vectors.shape.join(',')}]`,
          scale: `${scales.dtype} [${scales.shape.join(',')}]`,
        },
        fix: 'Expected vectors i8 [words,dim] and scale f32 [words].',
      });
    }
    return new WordVectorEncoder(device, maxWords, words, vectors.data, scales.data, dim);
  }

  /**
   * The prompt's words, lower-cased, as vectors, and the vector of `</s>` at the end. The empty prompt is
   * that one vector.
   *
   * @returns `[1, words + 1, dim]`, as Paella's `byt5` input
   */
  encode(text: string): Tensor {
    return this.encodeBatch([text]).byt5;
  }

  /** Several prompts at once, the shorter ones padded with zeros: Paella's `byt5` input with its lengths. */
  encodeBatch(texts: readonly string[]): { byt5: Tensor; byt5Lengths: number[] } {
    const prompts = texts.map((text) => [...this.#words(text).map(([word]) => word), '</s>']);
    const byt5Lengths = prompts.map(({ length }) => length);
    const longest = Math.max(...byt5Lengths);
    const values = new Float32Array(texts.length * longest * this.dim);
    for (const [n, words] of prompts.entries()) {
      words.forEach((word, i) => values.set(this.vectorOf(word), (n * longest + i) * this.dim));
    }
    return { byt5: this.device.tensor(values, [texts.length, longest, this.dim]), byt5Lengths };
  }

  /** Which part of the text each token of {@link encode} comes from; `</s>` from none. */
  spans(text: string): Span[] {
    const words = this.#words(text).map(({ 0: word, index }) => ({ start: index, end: index + word.length }));
    return [...words, { start: text.length, end: text.length }];
  }

  #words(text: string): RegExpExecArray[] {
    return [...text.toLowerCase().matchAll(/[a-z0-9]+/g)].slice(0, this.maxWords);
  }

  /** A word's unit vector: the table's, or for a word it does not have a fixed pseudo-random one. */
  vectorOf(word: string): Float32Array {
    const row = this.#index.get(word);
    if (row === undefined) return outOfVocabularyVector(word, this.dim);
    const start = row * this.dim;
    return Float32Array.from(this.#vectors.subarray(start, start + this.dim), (v) => v * this.#scales[row]);
  }

  dispose(): void {}
}

/**
 * A unit vector drawn from the word's own bytes: FNV-1a (32 bits) seeds a linear congruential generator,
 * whose upper 24 bits give numbers in [−1, 1).
 */
export function outOfVocabularyVector(word: string, dim: number): Float32Array {
  let state = 2166136261;
  for (const byte of new TextEncoder().encode(word)) state = Math.imul(state ^ byte, 16777619);
  const values = Float32Array.from({ length: dim }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 8) / 2 ** 24) * 2 - 1;
  });
  const length = Math.hypot(...values);
  return values.map((v) => v / length);
}
