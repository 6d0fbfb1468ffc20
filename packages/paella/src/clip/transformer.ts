import { type Tensor, nn, ops, scope } from '@paella/tensor';
import { MultiheadAttention } from '../unet/blocks.js';

export interface TransformerOptions {
  width: number;
  layers: number;
  heads: number;
  /** Width of the hidden layers. */
  hidden: number;
}

class MLP extends nn.Module {
  readonly c_fc: nn.Linear;
  readonly c_proj: nn.Linear;

  constructor({ width, hidden }: TransformerOptions, context: nn.ModuleContext) {
    super(context);
    this.c_fc = new nn.Linear(width, hidden, context);
    this.c_proj = new nn.Linear(hidden, width, context);
  }

  forward(x: Tensor, residual: Tensor): Tensor {
    return this.c_proj.forward(this.c_fc.forward(x, { activation: 'gelu' }), { residual });
  }
}

/** Attention, then two linear layers, each after a norm and added to its input. */
class ResidualAttentionBlock extends nn.Module {
  readonly ln_1: nn.LayerNorm;
  readonly attn: MultiheadAttention;
  readonly ln_2: nn.LayerNorm;
  readonly mlp: MLP;
  readonly #heads: number;

  constructor(options: TransformerOptions, context: nn.ModuleContext) {
    super(context);
    this.#heads = options.heads;
    this.ln_1 = new nn.LayerNorm(options.width, context);
    this.attn = new MultiheadAttention(options.width, context);
    this.ln_2 = new nn.LayerNorm(options.width, context);
    this.mlp = new MLP(options, context);
  }

  forward(x: Tensor, bias: Tensor | null): Tensor {
    return scope(() => {
      const [q, k, v] = ops.splitRows(this.attn.project(this.ln_1.forward(x)), 3);
      const attended = ops.attention(q, k, v, { heads: this.#heads, bias });
      const h = this.attn.out_proj.forward(attended, { residual: x });
      return this.mlp.forward(this.ln_2.forward(h), h);
    });
  }
}

/** The transformer that both towers of a CLIP are made of. */
export class Transformer extends nn.Module {
  readonly resblocks: nn.ModuleList<ResidualAttentionBlock>;

  constructor(options: TransformerOptions, context: nn.ModuleContext) {
    super(context);
    this.resblocks = new nn.ModuleList(
      context,
      Array.from({ length: options.layers }, () => new ResidualAttentionBlock(options, context)),
    );
  }

  /**
   * @param x `[B,N,width]`, which is freed
   * @param bias added to the scores, see {@link ops.attention}
   * @returns `[B,N,width]`
   */
  forward(x: Tensor, bias: Tensor | null = null): Tensor {
    let h = x;
    for (const block of this.resblocks) {
      const next = block.forward(h, bias);
      h.dispose();
      h = next;
    }
    return h;
  }
}
