import { type Tensor, nn, ops } from '@paella/tensor';
import type { Condition } from './condition.js';

/** Layer norm over channels as the whole model uses it: no affine part. */
export const norm = (x: Tensor): Tensor => ops.layerNorm(x, { eps: 1e-6 });

/** What a block may look at besides the picture. */
export interface BlockInputs {
  /** `[B, c_r]` */
  rEmbed: Tensor;
  condition: Condition;
}

/**
 * ConvNeXt-style block: depthwise convolution, norm, linear ×4, GELU, global response norm, linear back,
 * and the input added.
 *
 * With a skip, the convolution has `groups = c` over the concatenation of input and skip, so each output
 * channel sees two neighbouring ones of the 2c: half of them see only the input, half only the skip.
 */
export class ResBlock extends nn.Module {
  readonly depthwise: nn.Conv2d;
  readonly channelwise: nn.Positions<{ 0: nn.Linear; 2: nn.GlobalResponseNorm; 4: nn.Linear }>;
  readonly #padding: number;
  readonly #dropout: nn.Dropout;

  /** @param dropout between the norm and the second linear layer; all blocks share one */
  constructor(c: number, cSkip: number, kernel: number, dropout: nn.Dropout, context: nn.ModuleContext) {
    super(context);
    this.#padding = (kernel - 1) / 2;
    this.#dropout = dropout;
    this.depthwise = new nn.Conv2d(c + cSkip, c, kernel, context, { padding: this.#padding, groups: c });
    this.channelwise = new nn.Positions(context, {
      0: new nn.Linear(c, 4 * c, context),
      2: new nn.GlobalResponseNorm(4 * c, context),
      4: new nn.Linear(4 * c, c, context),
    });
  }

  /** x and skip `[B,H,W,c]` → `[B,H,W,c]` */
  forward(x: Tensor, skip?: Tensor): Tensor {
    const { weight, bias } = this.depthwise;
    const mixed = skip
      ? ops.skipConv2d(x, skip, weight.value, { bias: bias?.value, padding: this.#padding })
      : this.depthwise.forward(x);
    const wide = this.channelwise.get(0).forward(norm(mixed), { activation: 'gelu' });
    const responded = this.#dropout.forward(this.channelwise.get(2).forward(wide));
    return this.channelwise.get(4).forward(responded, { residual: x });
  }
}

/** Scales and shifts the channels by the noise level: `x·(1+a) + b`. */
export class TimestepBlock extends nn.Module {
  readonly mapper: nn.Linear;

  constructor(c: number, cR: number, context: nn.ModuleContext) {
    super(context);
    this.mapper = new nn.Linear(cR, 2 * c, context);
  }

  /** x `[B,H,W,c]` */
  forward(x: Tensor, { rEmbed }: BlockInputs): Tensor {
    return ops.modulate(x, this.mapper.forward(rEmbed));
  }
}

/** The weights of PyTorch's MultiheadAttention, with q, k and v projected by one packed matrix. */
export class MultiheadAttention extends nn.Module {
  readonly in_proj_weight: nn.Parameter;
  readonly in_proj_bias: nn.Parameter;
  readonly out_proj: nn.Linear;

  constructor(c: number, context: nn.ModuleContext) {
    super(context);
    this.in_proj_weight = new nn.Parameter(context.device, [3 * c, c], { layout: 'linear' });
    this.in_proj_bias = new nn.Parameter(context.device, [3 * c]);
    this.out_proj = new nn.Linear(c, c, context);
    if (context.rng) {
      nn.init.xavierUniform_(this.in_proj_weight, context.rng);
      nn.init.constant_(this.in_proj_bias, 0);
    }
  }

  /** Queries, keys and values side by side: `[B,N,c]` → `[B,N,3c]` */
  project(tokens: Tensor): Tensor {
    return ops.linear(tokens, this.in_proj_weight.value, { bias: this.in_proj_bias.value });
  }
}

/** Attention of every position over the picture and the condition tokens, added to the input. */
export class AttnBlock extends nn.Module {
  readonly attention: Attention2D;
  readonly kv_mapper: nn.Positions<{ 1: nn.Linear }>;
  /** Which of a condition's key-value pairs is this block's. */
  readonly #index: number;

  constructor(
    c: number,
    options: { cCond: number; heads: number; selfAttention: boolean; index: number; dropout: nn.Dropout },
    context: nn.ModuleContext,
  ) {
    super(context);
    this.#index = options.index;
    this.kv_mapper = new nn.Positions(context, { 1: new nn.Linear(options.cCond, c, context) });
    this.attention = new Attention2D(c, options, context);
  }

  /**
   * Projections of the condition tokens. They do not depend on the picture or the noise level, so a
   * generation computes them once.
   *
   * @param activated SiLU of the condition tokens, `[B,S,c_cond]`
   * @returns queries (which nobody asks), keys and values side by side, `[B,S,3c]`
   */
  projectCondition(activated: Tensor): Tensor {
    return this.attention.attn.project(this.kv_mapper.get(1).forward(activated));
  }

  /** x `[B,H,W,c]` */
  forward(x: Tensor, { condition }: BlockInputs): Tensor {
    return this.attention.forward(x, condition.projections[this.#index], condition);
  }
}

/** Attention over an image: its positions, row by row, are the queries and the first keys. */
export class Attention2D extends nn.Module {
  readonly attn: MultiheadAttention;
  readonly #heads: number;
  readonly #selfAttention: boolean;
  readonly #dropout: nn.Dropout;

  constructor(
    c: number,
    options: { heads: number; selfAttention: boolean; dropout: nn.Dropout },
    context: nn.ModuleContext,
  ) {
    super(context);
    this.#heads = options.heads;
    this.#dropout = options.dropout;
    this.#selfAttention = options.selfAttention;
    this.attn = new MultiheadAttention(c, context);
  }

  /**
   * @param x `[B,H,W,c]`
   * @param projected the condition's queries, keys and values, `[B,S,3c]`
   * @returns x plus what it attended to
   */
  forward(x: Tensor, projected: Tensor, condition: Condition): Tensor {
    const [b, h, w, c] = x.shape;
    const positions = norm(x).reshape([b, h * w, c]);
    const [q, k, v] = ops.splitRows(this.attn.project(positions), 3);
    const [, textK, textV] = ops.splitRows(projected, 3);
    const selfKeys = this.#selfAttention ? h * w : 0;
    const options = {
      heads: this.#heads,
      bias: condition.keyBias(selfKeys),
      keyWeights: condition.keyWeights(selfKeys),
      dropout: this.#dropout.draw(),
    };
    const attended = this.#selfAttention
      ? ops.attention(q, k, v, { ...options, extra: { k: textK, v: textV } })
      : ops.attention(q, textK, textV, options);
    return this.attn.out_proj.forward(attended, { residual: x.reshape([b, h * w, c]) }).reshape(x.shape);
  }
}
