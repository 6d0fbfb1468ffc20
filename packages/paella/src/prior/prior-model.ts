import { PaellaError, type Tensor, nn, ops, scope } from '@paella/tensor';
import { NoiseLevelEmbedding } from '../noise-level.js';

/** The prior's configuration, with the names of upstream's constructor. */
export interface PriorConfig {
  /** Width of CLIP's vectors. */
  clip_r: number;
  c_hidden: number;
  /** Width of the noise level's embedding. */
  c_r: number;
  num_blocks: number;
}

/** The released `prior_v1.pt`. */
export const PRIOR_V1: PriorConfig = { clip_r: 1024, c_hidden: 1280, c_r: 64, num_blocks: 48 };

/** Two linear layers, each followed by a norm, with a GELU between; added to the input. */
class Block extends nn.Positions<{ 0: nn.Linear; 1: nn.LayerNorm; 3: nn.Linear; 4: nn.LayerNorm }> {
  constructor({ clip_r, c_hidden, c_r, num_blocks }: PriorConfig, context: nn.ModuleContext) {
    super(context, {
      0: new nn.Linear(c_hidden + clip_r + c_r, 4 * c_hidden, context, { bias: false }),
      1: new nn.LayerNorm(4 * c_hidden, context),
      3: new nn.Linear(4 * c_hidden, c_hidden, context, { bias: false }),
      4: new nn.LayerNorm(c_hidden, context),
    });
    if (!context.rng) return;
    // Upstream divides by the root of the number of blocks, since their results add up.
    const { weight } = this.get(0);
    nn.init.uniform_(weight, context.rng, 1 / Math.sqrt(weight.shape[1] * num_blocks));
  }

  /**
   * @param h `[B,c_hidden]`
   * @param known what all blocks read besides, `[B,clip_r+c_r]`
   */
  forward(h: Tensor, known: Tensor): Tensor {
    return scope(() => {
      const wide = this.get(1).forward(this.get(0).forward(ops.cat([h, known], 1)));
      return this.get(4).forward(this.get(3).forward(wide.gelu())).add(h);
    });
  }
}

/**
 * The prior of the release: given a noised CLIP image vector, the noise level and CLIP's vector of the text, it predicts
 * the noise. See {@link samplePrior}.
 *
 * State-dict keys are those of the released checkpoint.
 */
export class PriorModel extends nn.Module {
  readonly config: PriorConfig;
  /** A linear layer, the blocks, and a linear layer back. */
  readonly blocks: nn.ModuleList<nn.Module>;
  readonly #first: nn.Linear;
  readonly #middle: readonly Block[];
  readonly #last: nn.Linear;
  readonly #noiseLevel: NoiseLevelEmbedding;

  constructor(config: PriorConfig, context: nn.ModuleContext) {
    super(context);
    this.config = config;
    const { clip_r, c_hidden, c_r, num_blocks } = config;
    this.#noiseLevel = new NoiseLevelEmbedding(context.device, c_r);
    this.#first = new nn.Linear(clip_r, c_hidden, context);
    this.#middle = Array.from({ length: num_blocks }, () => new Block(config, context));
    this.#last = new nn.Linear(c_hidden, clip_r, context);
    this.blocks = new nn.ModuleList<nn.Module>(context, [this.#first, ...this.#middle, this.#last]);
  }

  /**
   * The noise in `x`.
   *
   * @param x noised vectors, `[B,clip_r]`
   * @param r noise levels from 0 (clean) to 1 (all noise), `[B]`
   * @param c CLIP's vectors of the texts, `[B,clip_r]`
   * @returns `[B,clip_r]`
   * @throws PaellaError `shape` if x and c do not fit together
   */
  forward(x: Tensor, r: ArrayLike<number>, c: Tensor): Tensor {
    const { clip_r } = this.config;
    const shape = [r.length, clip_r];
    if ([x, c].some((one) => one.rank !== 2 || one.shape.some((length, i) => length !== shape[i]))) {
      throw new PaellaError('shape', `the prior takes vectors [${shape.join(',')}], one a noise level`, {
        operands: { x: x.toString(), c: c.toString() },
      });
    }
    return scope(() => {
      const known = ops.cat([c, this.#noiseLevel.forward(r)], 1);
      let h = this.#first.forward(x);
      for (const block of this.#middle) {
        const next = block.forward(h, known);
        h.dispose();
        h = next;
      }
      return this.#last.forward(h);
    });
  }

  override dispose(): void {
    super.dispose();
    this.#noiseLevel.dispose();
  }
}
