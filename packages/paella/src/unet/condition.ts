import { type Device, PaellaError, type Tensor } from '@paella/tensor';

/** What a picture is conditioned on. Missing parts are left out; ByT5 (or its stand-in) is required. */
export interface ConditionInputs {
  /** Hidden states of the text encoder, `[B,L,byt5_embd]`. */
  byt5: Tensor;
  /** How many of its L tokens each entry has; the rest is padding and masked. By default all count. */
  byt5Lengths?: readonly number[];
  /**
   * How present each of the L tokens is, from 0 to 1: the logarithm is added to the scores of attention, so 0 is as if
   * the token were not there. What lies between two sequences of different length fades tokens in and out by it.
   */
  byt5Presence?: ArrayLike<number>;
  /** CLIP text vectors, `[B,clip_embd]`, not normalised. */
  clip?: Tensor;
  /** CLIP image vectors, `[B,clip_embd]`, or several of them. */
  clipImage?: Tensor | Tensor[];
  /**
   * Factors on the attention to the last `attnWeights.length` condition tokens (padding is none), applied after the
   * softmax and not renormalised.
   */
  attnWeights?: ArrayLike<number>;
}

/** What attention makes of the condition tokens of one batch entry, besides their keys and values. */
export interface ConditionEntry {
  /** Of each token, from 0 to 1; 0 is masked. */
  presence: ArrayLike<number>;
  /** Factors on the attention to each token; by default all are 1. */
  factors?: ArrayLike<number>;
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
  readonly #entries: readonly ConditionEntry[];
  readonly #tokens: number;
  readonly #hasBias: boolean;
  readonly #masks = new Map<string, Tensor>();

  /** @param entries of the batch; what they lack up to the S tokens of the projections is padding */
  constructor(
    device: Device,
    tokens: number,
    projections: readonly Tensor[],
    entries: readonly ConditionEntry[],
  ) {
    this.#device = device;
    this.#tokens = tokens;
    this.projections = projections.map((tensor) => tensor.keep());
    this.#entries = entries;
    const isWhole = ({ presence }: ConditionEntry): boolean =>
      presence.length === tokens && Array.from(presence).every((share) => share === 1);
    this.#hasBias = !entries.every(isWhole);
  }

  /** Batch entries. */
  get batch(): number {
    return this.#entries.length;
  }

  /**
   * What masks padding and fades tokens, `[B,1,1,selfKeys + S]`, or undefined where all tokens are there.
   *
   * @param selfKeys keys that come before the condition's
   */
  keyBias(selfKeys: number): Tensor | undefined {
    if (!this.#hasBias) return undefined;
    return this.#mask(`bias ${selfKeys}`, [this.batch, 1, 1, selfKeys + this.#tokens], (row, key) => {
      if (key < selfKeys) return 0;
      const share = this.#entries[row].presence[key - selfKeys] ?? 0;
      return share > 0 ? Math.log(share) : MASKED;
    });
  }

  /** Attention factors, `[B, selfKeys + S]`, or undefined where all are 1. */
  keyWeights(selfKeys: number): Tensor | undefined {
    if (this.#entries.every(({ factors }) => !factors)) return undefined;
    return this.#mask(
      `weights ${selfKeys}`,
      [this.batch, selfKeys + this.#tokens],
      (row, key) => this.#entries[row].factors?.[key - selfKeys] ?? 1,
    );
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

/**
 * What the tokens of a condition are to attention, for each of its batch entries.
 *
 * @param tokens how many there are: ByT5's, then those of the CLIP vectors
 * @throws PaellaError `argument` for lengths, a presence or weights that do not fit the tokens
 */
export function conditionEntries(inputs: ConditionInputs, tokens: number): ConditionEntry[] {
  const { byt5, byt5Lengths, byt5Presence, attnWeights } = inputs;
  const [batch, length] = byt5.shape;
  const lengths = byt5Lengths ?? new Array<number>(batch).fill(length);
  const refuse = (message: string, fix: string): never => {
    throw new PaellaError('argument', message, { operands: { byt5: byt5.toString() }, fix });
  };
  if (lengths.length !== batch || !lengths.every((n) => n > 0 && n <= length)) {
    refuse(`byt5Lengths [${lengths.join(',')}] do not fit`, 'Give one length an entry, from 1 to L.');
  }
  const shares = Array.from(byt5Presence ?? new Array<number>(length).fill(1));
  if (shares.length !== length || !shares.every((share) => share >= 0 && share <= 1)) {
    refuse(`byt5Presence [${shares.join(',')}] does not fit`, 'Give one number a token, from 0 to 1.');
  }
  return lengths.map((own) => {
    const isPadding = (token: number): boolean => token >= own && token < length;
    const presence = Float64Array.from({ length: tokens }, (_, i) => (isPadding(i) ? 0 : (shares[i] ?? 1)));
    if (!attnWeights) return { presence };
    const columns = tokens - (length - own);
    if (attnWeights.length > columns) {
      refuse(
        `${attnWeights.length} attention weights for ${columns} condition tokens`,
        'Give an array of at most one number a condition token.',
      );
    }
    const column = (token: number): number => (token < own ? token : token - (length - own));
    const factors = Float32Array.from({ length: tokens }, (_, i) =>
      isPadding(i) ? 1 : (attnWeights[column(i) - (columns - attnWeights.length)] ?? 1),
    );
    return { presence, factors };
  });
}
