import { type Device, PaellaError, type Tensor } from '@paella/tensor';

/** What a picture is conditioned on. Missing parts are left out; ByT5 (or its stand-in) is required. */
export interface ConditionInputs {
  /** Hidden states of the text encoder, `[B,L,byt5_embd]`. */
  byt5: Tensor;
  /**
   * How many of its L tokens each entry has; the rest is padding and masked. By default all count. Not together with
   * CLIP vectors, which come after the padding.
   */
  byt5Lengths?: readonly number[];
  /** CLIP text vectors, `[B,clip_embd]`, not normalised. */
  clip?: Tensor;
  /** CLIP image vectors, `[B,clip_embd]`, or several of them. */
  clipImage?: Tensor | Tensor[];
  /**
   * Factors on the attention to the last `attnWeights.length` condition tokens, applied after the softmax
   * and not renormalised.
   */
  attnWeights?: ArrayLike<number>;
}

/** Stands for "no attention" in a score: far below any other, and finite. */
const MASKED = -3e38;

/**
 * Conditions made ready for many forward passes: the keys and values of every attention block, computed
 * once. Conditions of different length share a batch by padding, and the padding is masked.
 */
export class Condition {
  /** One `[B,S,3c]` an attention block: queries (unused), keys, values. */
  readonly projections: readonly Tensor[];
  readonly #device: Device;
  readonly #lengths: readonly number[];
  readonly #weights: readonly (ArrayLike<number> | undefined)[];
  readonly #tokens: number;
  readonly #masks = new Map<string, Tensor>();

  /**
   * @param lengths condition tokens of each batch entry; the rest up to S is padding
   * @param weights attention factors of each batch entry
   */
  constructor(
    device: Device,
    tokens: number,
    projections: readonly Tensor[],
    lengths: readonly number[],
    weights: readonly (ArrayLike<number> | undefined)[],
  ) {
    for (const [i, factors] of weights.entries()) {
      if (factors && !(factors.length <= lengths[i])) {
        const message = `${factors.length} attention weights for ${lengths[i]} condition tokens`;
        const fix = 'Give an array of at most one number a condition token.';
        throw new PaellaError('argument', message, { fix });
      }
    }
    this.#device = device;
    this.#tokens = tokens;
    this.projections = projections.map((tensor) => tensor.keep());
    this.#lengths = lengths;
    this.#weights = weights;
  }

  /** Batch entries. */
  get batch(): number {
    return this.#lengths.length;
  }

  /**
   * What masks the padding, `[B,1,1,selfKeys + S]`, or undefined where there is none.
   *
   * @param selfKeys keys that come before the condition's
   */
  keyBias(selfKeys: number): Tensor | undefined {
    if (this.#lengths.every((length) => length === this.#tokens)) return undefined;
    return this.#mask(`bias ${selfKeys}`, [this.batch, 1, 1, selfKeys + this.#tokens], (row, key) =>
      key < selfKeys + this.#lengths[row] ? 0 : MASKED,
    );
  }

  /** Attention factors, `[B, selfKeys + S]`, or undefined where all are 1. */
  keyWeights(selfKeys: number): Tensor | undefined {
    if (this.#weights.every((factors) => !factors)) return undefined;
    return this.#mask(`weights ${selfKeys}`, [this.batch, selfKeys + this.#tokens], (row, key) => {
      const factors = this.#weights[row] ?? [];
      return factors[key - (selfKeys + this.#lengths[row] - factors.length)] ?? 1;
    });
  }

  dispose(): void {
    for (const tensor of this.projections) tensor.dispose();
    for (const tensor of this.#masks.values()) tensor.dispose();
  }

  #mask(name: string, shape: number[], valueAt: (row: number, key: number) => number): Tensor {
    let mask = this.#masks.get(name);
    if (!mask) {
      const keys = shape[shape.length - 1];
      const values = Float32Array.from({ length: shape[0] * keys }, (_, i) =>
        valueAt(Math.floor(i / keys), i % keys),
      );
      mask = this.#device.tensor(values, shape).keep();
      this.#masks.set(name, mask);
    }
    return mask;
  }
}
