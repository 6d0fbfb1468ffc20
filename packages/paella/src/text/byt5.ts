import { type StateDict, type Tensor, nn, ops, scope } from '@paella/tensor';
import type { Span } from './prompt-weights.js';

/** A ByT5 encoder's configuration, with the field names of its `config.json`. */
export interface ByT5Config {
  d_model: number;
  d_ff: number;
  d_kv: number;
  num_layers: number;
  num_heads: number;
  vocab_size: number;
  relative_attention_num_buckets: number;
  relative_attention_max_distance: number;
  layer_norm_epsilon: number;
}

/** google/byt5-xl, the encoder of the released checkpoints. */
export const BYT5_XL: ByT5Config = {
  d_model: 2560,
  d_ff: 6720,
  d_kv: 64,
  num_layers: 36,
  num_heads: 32,
  vocab_size: 384,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  layer_norm_epsilon: 1e-6,
};

class SelfAttention extends nn.Module {
  readonly q: nn.Linear;
  readonly k: nn.Linear;
  readonly v: nn.Linear;
  readonly o: nn.Linear;
  /** Only the first block has the table; the others use its bias. */
  readonly relative_attention_bias: nn.Embedding | null;
  readonly #heads: number;

  constructor(config: ByT5Config, isFirst: boolean, context: nn.ModuleContext) {
    super(context);
    const inner = config.num_heads * config.d_kv;
    const project = () => new nn.Linear(config.d_model, inner, context, { bias: false });
    this.q = project();
    this.k = project();
    this.v = project();
    this.o = new nn.Linear(inner, config.d_model, context, { bias: false });
    this.relative_attention_bias = isFirst
      ? new nn.Embedding(config.relative_attention_num_buckets, config.num_heads, context)
      : null;
    this.#heads = config.num_heads;
  }

  /** Scores are not scaled: T5 folds the scale into its initialisation. */
  forward(x: Tensor, bias: Tensor, residual: Tensor): Tensor {
    const [q, k, v] = [this.q, this.k, this.v].map((project) => project.forward(x));
    return this.o.forward(ops.attention(q, k, v, { heads: this.#heads, scale: 1, bias }), { residual });
  }
}

class DenseReluDense extends nn.Module {
  readonly wi_0: nn.Linear;
  readonly wi_1: nn.Linear;
  readonly wo: nn.Linear;

  constructor({ d_model, d_ff }: ByT5Config, context: nn.ModuleContext) {
    super(context);
    this.wi_0 = new nn.Linear(d_model, d_ff, context, { bias: false });
    this.wi_1 = new nn.Linear(d_model, d_ff, context, { bias: false });
    this.wo = new nn.Linear(d_ff, d_model, context, { bias: false });
  }

  forward(x: Tensor, residual: Tensor): Tensor {
    const gated = this.wi_0.forward(x, { activation: 'gelu_tanh' }).mul(this.wi_1.forward(x));
    return this.wo.forward(gated, { residual });
  }
}

class AttentionLayer extends nn.Module {
  readonly SelfAttention: SelfAttention;
  readonly layer_norm: nn.RMSNorm;

  constructor(config: ByT5Config, isFirst: boolean, context: nn.ModuleContext) {
    super(context);
    this.SelfAttention = new SelfAttention(config, isFirst, context);
    this.layer_norm = new nn.RMSNorm(config.d_model, context, { eps: config.layer_norm_epsilon });
  }
}

class FeedForwardLayer extends nn.Module {
  readonly DenseReluDense: DenseReluDense;
  readonly layer_norm: nn.RMSNorm;

  constructor(config: ByT5Config, context: nn.ModuleContext) {
    super(context);
    this.DenseReluDense = new DenseReluDense(config, context);
    this.layer_norm = new nn.RMSNorm(config.d_model, context, { eps: config.layer_norm_epsilon });
  }
}

class Block extends nn.Module {
  readonly layer: nn.Positions<{ 0: AttentionLayer; 1: FeedForwardLayer }>;

  constructor(config: ByT5Config, isFirst: boolean, context: nn.ModuleContext) {
    super(context);
    this.layer = new nn.Positions(context, {
      0: new AttentionLayer(config, isFirst, context),
      1: new FeedForwardLayer(config, context),
    });
  }

  forward(x: Tensor, bias: Tensor): Tensor {
    return scope(() => {
      const attention = this.layer.get(0);
      const feedForward = this.layer.get(1);
      const h = attention.SelfAttention.forward(attention.layer_norm.forward(x), bias, x);
      return feedForward.DenseReluDense.forward(feedForward.layer_norm.forward(h), h);
    });
  }
}

class Stack extends nn.Module {
  readonly block: nn.ModuleList<Block>;
  readonly final_layer_norm: nn.RMSNorm;

  constructor(config: ByT5Config, context: nn.ModuleContext) {
    super(context);
    const blocks = Array.from({ length: config.num_layers }, (_, i) => new Block(config, i === 0, context));
    this.block = new nn.ModuleList(context, blocks);
    this.final_layer_norm = new nn.RMSNorm(config.d_model, context, { eps: config.layer_norm_epsilon });
  }
}

/** The encoder of ByT5 (arXiv 2105.13626): bytes in, hidden states out. */
export class ByT5Encoder extends nn.Module {
  readonly config: ByT5Config;
  readonly shared: nn.Embedding;
  readonly encoder: Stack;

  constructor(config: ByT5Config, context: nn.ModuleContext) {
    super(context);
    this.config = config;
    this.shared = new nn.Embedding(config.vocab_size, config.d_model, context);
    this.encoder = new Stack(config, context);
  }

  /**
   * @param ids u32 `[B,L]`
   * @param attentionMask 1 for a token and 0 for padding, row by row, `B·L` numbers. Paella passes none:
   *   its padding is attended to.
   * @returns `[B,L,d_model]`
   */
  forward(ids: Tensor, attentionMask?: ArrayLike<number>): Tensor {
    const [b, length] = ids.shape;
    return scope(() => {
      let bias = this.#positionBias(length);
      if (attentionMask) {
        const mask = Float32Array.from(attentionMask, (keep) => (keep ? 0 : -3e38));
        bias = bias.add(this.device.tensor(mask, [b, 1, 1, length]));
      }
      let x = this.shared.forward(ids);
      for (const block of this.encoder.block) {
        const next = block.forward(x, bias);
        x.dispose();
        x = next;
      }
      return this.encoder.final_layer_norm.forward(x);
    });
  }

  /** Hidden states of one prompt, `[1,L,d_model]`, as Paella's `byt5` input. */
  encode(text: string): Tensor {
    return scope(() => {
      const ids = byt5Tokenize(text);
      return this.forward(this.device.tensor(ids, [1, ids.length]));
    });
  }

  /** Which part of the text each token of {@link encode} comes from. */
  spans(text: string): Span[] {
    return byt5Tokens(text).map(({ start, end }) => ({ start, end }));
  }

  /**
   * Several prompts at once, the shorter ones padded and the padding masked: Paella's `byt5` input with its lengths.
   *
   * @param options.maxLength ids kept of a prompt
   */
  encodeBatch(
    texts: readonly string[],
    { maxLength }: { maxLength?: number } = {},
  ): { byt5: Tensor; byt5Lengths: number[] } {
    return scope(() => {
      const prompts = texts.map((text) => byt5Tokenize(text, maxLength));
      const byt5Lengths = prompts.map(({ length }) => length);
      const longest = Math.max(...byt5Lengths);
      const ids = new Uint32Array(texts.length * longest);
      prompts.forEach((one, n) => ids.set(one, n * longest));
      const mask = Array.from(ids, (_, i) => Number(i % longest < byt5Lengths[Math.floor(i / longest)]));
      return { byt5: this.forward(this.device.tensor(ids, [texts.length, longest]), mask), byt5Lengths };
    });
  }

  /** Loads an encoder out of its own checkpoint or a whole T5's, of whose decoder nothing is read. */
  override loadStateDict(
    state: StateDict,
    options?: Parameters<nn.Module['loadStateDict']>[1],
  ): Promise<{ missing: string[]; unexpected: string[] }> {
    const keys = state.keys();
    // The embedding is stored under its own name, under the encoder's, or under both.
    const other = keys.includes('shared.weight') ? '' : 'encoder.embed_tokens.weight';
    const stored = (key: string): string => (key === 'shared.weight' && other ? other : key);
    const isOurs = (key: string): boolean => !/^(decoder\.|lm_head\.|encoder\.embed_tokens\.)/.test(key);
    const ours = keys.map((key) => (key === other ? 'shared.weight' : key)).filter(isOurs);
    return super.loadStateDict(
      { keys: () => ours, info: (key) => state.info(stored(key)), get: (key) => state.get(stored(key)) },
      options,
    );
  }

  /** `[1,heads,L,L]` from the distance between query and key. */
  #positionBias(length: number): Tensor {
    const table = this.encoder.block.at(0).layer.get(0).SelfAttention.relative_attention_bias!;
    const buckets = relativePositionBuckets(length, this.config);
    const perPair = table.forward(this.device.tensor(buckets, [length, length]));
    return perPair.permute([2, 0, 1]).reshape([1, this.config.num_heads, length, length]);
  }
}

/**
 * T5's bidirectional buckets of `key − query`: half of them for each sign; in each half, one bucket a
 * distance up to a quarter of all, then logarithmically wider ones up to the maximum distance.
 *
 * @returns row-major `[length,length]`
 */
export function relativePositionBuckets(length: number, config: ByT5Config): Uint32Array {
  const half = config.relative_attention_num_buckets / 2;
  const exact = half / 2;
  const growth = (half - exact) / Math.log(config.relative_attention_max_distance / exact);
  const bucketOf = (distance: number): number => {
    if (distance < exact) return distance;
    // The tiny addend keeps exact powers, such as 16 and 32, on the upper side of their edge.
    return Math.min(half - 1, exact + Math.floor(Math.log(distance / exact) * growth + 1e-6));
  };
  return Uint32Array.from({ length: length * length }, (_, i) => {
    const relative = (i % length) - Math.floor(i / length);
    return bucketOf(Math.abs(relative)) + (relative > 0 ? half : 0);
  });
}

/**
 * Specials that Hugging Face's tokenizer recognises in text; every other id is a byte plus 3. The first
 * three swallow the white space around them.
 */
const SPECIAL = /\s*(<pad>|<\/s>|<unk>)\s*|<extra_id_(0|[1-9]\d*)>/g;
const FIXED: Record<string, number> = { '<pad>': 0, '</s>': 1, '<unk>': 2 };
const FIRST_EXTRA_ID = 259;
const EXTRA_IDS = 125;

/**
 * ByT5's ids: UTF-8 bytes plus 3, then end-of-sequence.
 *
 * @param maxLength ids kept at most, the last one being end-of-sequence
 */
export function byt5Tokenize(text: string, maxLength = 768): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(byt5Tokens(text, maxLength), ({ id }) => id);
}

/** The ids and which part of the text each comes from: all bytes of a character from it, end-of-sequence from none. */
function byt5Tokens(text: string, maxLength = 768): (Span & { id: number })[] {
  const utf8 = new TextEncoder();
  const tokens: (Span & { id: number })[] = [];
  const addBytes = (start: number, end: number) => {
    for (const character of text.slice(start, end)) {
      const span = { start, end: start + character.length };
      for (const byte of utf8.encode(character)) tokens.push({ id: byte + 3, ...span });
      start = span.end;
    }
  };
  let end = 0;
  for (const match of text.matchAll(SPECIAL)) {
    const [whole, fixed, extra] = match;
    if (Number(extra ?? 0) >= EXTRA_IDS) continue;
    addBytes(end, match.index);
    const id = fixed ? FIXED[fixed] : FIRST_EXTRA_ID + Number(extra);
    end = match.index + whole.length;
    tokens.push({ id, start: match.index, end });
  }
  addBytes(end, text.length);
  return [...tokens.slice(0, maxLength - 1), { id: 1, start: text.length, end: text.length }];
}
