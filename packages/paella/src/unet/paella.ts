import { PaellaError, type Tensor, nn, ops, scope } from '@paella/tensor';
import { NoiseLevelEmbedding } from '../noise-level.js';
import { AttnBlock, ResBlock, TimestepBlock, norm } from './blocks.js';
import { Condition, type ConditionInputs, conditionEntries } from './condition.js';
import type { PaellaConfig } from './config.js';
import { initialise } from './init.js';

type Block = ResBlock | TimestepBlock | AttnBlock | Resample;

/** Layer norm, then a 2×2 convolution (or transposed convolution) with stride 2. */
class Resample extends nn.Positions<{ 1: nn.Conv2d | nn.ConvTranspose2d }> {
  forward(x: Tensor): Tensor {
    return this.get(1).forward(norm(x));
  }
}

/**
 * Paella's token U-Net (arXiv 2211.07292, third version): given noised image tokens, the noise level and
 * the condition, it predicts the original token at every position.
 *
 * State-dict keys are those of the released checkpoints.
 */
export class Paella extends nn.Module {
  readonly config: PaellaConfig;
  readonly byt5_mapper: nn.Linear;
  readonly clip_mapper: nn.Linear;
  readonly clip_image_mapper: nn.Linear;
  readonly in_mapper: nn.Positions<{ 0: nn.Embedding }>;
  readonly embedding: nn.Positions<{ 1: nn.Conv2d }>;
  readonly down_blocks: nn.ModuleList<nn.ModuleList<Block>>;
  readonly up_blocks: nn.ModuleList<nn.ModuleList<Block>>;
  readonly clf: nn.Positions<{ 1: nn.Conv2d }>;
  readonly out_mapper: nn.Positions<{ 1: nn.Conv2d }>;
  /** In training mode; give it an rng then. */
  readonly dropout: nn.Dropout;
  readonly #noiseLevel: NoiseLevelEmbedding;

  /**
   * @param context.rng initialises the weights as upstream does; without it, load a state dict
   * @throws PaellaError `argument` if the configuration contradicts itself
   */
  constructor(config: PaellaConfig, context: nn.ModuleContext) {
    super(context);
    checkConfig(config);
    this.config = config;
    this.#noiseLevel = new NoiseLevelEmbedding(context.device, config.c_r);
    const { c_in, c_out, c_cond, c_hidden, patch_size, clip_embd, clip_seq_len, num_labels } = config;
    const patch = patch_size ** 2;
    this.byt5_mapper = new nn.Linear(config.byt5_embd, c_cond, context);
    this.clip_mapper = new nn.Linear(clip_embd, c_cond * clip_seq_len, context);
    this.clip_image_mapper = new nn.Linear(clip_embd, c_cond * clip_seq_len, context);
    this.in_mapper = new nn.Positions(context, { 0: new nn.Embedding(num_labels, c_in, context) });
    this.embedding = new nn.Positions(context, { 1: new nn.Conv2d(c_in * patch, c_hidden[0], 1, context) });

    this.dropout = new nn.Dropout(config.dropout, context);
    let attentionBlocks = 0;
    const levels = c_hidden.length;
    const block = (letter: string, level: number, cSkip: number): Block => {
      const c = c_hidden[level];
      if (letter === 'C') return new ResBlock(c, cSkip, config.kernel_size, this.dropout, context);
      if (letter === 'T') return new TimestepBlock(c, config.c_r, context);
      const heads = config.nhead[level];
      const index = attentionBlocks++;
      const { self_attn: selfAttention } = config;
      return new AttnBlock(c, { cCond: c_cond, heads, selfAttention, index, dropout: this.dropout }, context);
    };
    const body = (level: number, cSkip: number): Block[] => {
      const letters = config.level_config[level].repeat(config.blocks[level]).split('');
      return letters.map((letter, i) => block(letter, level, i === 0 ? cSkip : 0));
    };
    const down = c_hidden.map((c, level) => {
      const enter = level > 0 ? [new nn.Conv2d(c_hidden[level - 1], c, 2, context, { stride: 2 })] : [];
      return [...enter.map((conv) => new Resample(context, { 1: conv })), ...body(level, 0)];
    });
    const up = [...c_hidden.keys()].reverse().map((level) => {
      const c = c_hidden[level];
      const leave =
        level > 0 ? [new nn.ConvTranspose2d(c, c_hidden[level - 1], 2, context, { stride: 2 })] : [];
      const blocks = body(level, level < levels - 1 ? c : 0);
      return [...blocks, ...leave.map((conv) => new Resample(context, { 1: conv }))];
    });
    this.down_blocks = new nn.ModuleList(
      context,
      down.map((blocks) => new nn.ModuleList<Block>(context, blocks)),
    );
    this.up_blocks = new nn.ModuleList(
      context,
      up.map((blocks) => new nn.ModuleList<Block>(context, blocks)),
    );
    this.clf = new nn.Positions(context, { 1: new nn.Conv2d(c_hidden[0], c_out * patch, 1, context) });
    this.out_mapper = new nn.Positions(context, {
      1: new nn.Conv2d(c_out, num_labels, 1, context, { bias: false }),
    });
    if (context.rng) initialise(this, context.rng);
  }

  /** Height and width must be multiples of this many tokens. */
  get tokenMultiple(): number {
    return tokenMultiple(this.config);
  }

  /**
   * Logits of the original tokens.
   *
   * @param tokens u32 `[B,H,W]`
   * @param r noise level from 0 (clean) to 1 (all noise): one for all, or `[B]`
   * @param inputs the condition, several that are stacked along the batch, or what {@link prepare} made of them for
   *   many passes
   * @returns `[B,H,W,num_labels]`
   */
  forward(
    tokens: Tensor,
    r: number | ArrayLike<number> | Tensor,
    inputs: ConditionInputs | readonly ConditionInputs[] | Condition,
  ): Tensor {
    return scope(() => {
      const features = this.features(tokens, r, inputs);
      return ops.linear(features, this.headWeight());
    });
  }

  /**
   * Everything but the last linear layer. That layer is linear, so guidance may combine features instead
   * of logits, and a sampler may fuse it with drawing the token.
   *
   * @returns `[B,H,W,c_out]`
   */
  features(
    tokens: Tensor,
    r: number | ArrayLike<number> | Tensor,
    inputs: ConditionInputs | readonly ConditionInputs[] | Condition,
  ): Tensor {
    const [b, h, w] = tokens.shape;
    const multiple = this.tokenMultiple;
    if (tokens.rank !== 3 || h % multiple !== 0 || w % multiple !== 0 || h === 0 || w === 0) {
      throw new PaellaError(
        'shape',
        `tokens must be [B,H,W] with H and W multiples of ${multiple}, got ${tokens.toString()}`,
      );
    }
    return scope(() => {
      const rEmbed = this.genREmbedding(typeof r === 'number' ? new Array<number>(b).fill(r) : r);
      if (inputs instanceof Condition) return this.#pass(tokens, rEmbed, inputs);
      const condition = this.prepare([inputs].flat());
      try {
        return this.#pass(tokens, rEmbed, condition);
      } finally {
        condition.dispose();
      }
    });
  }

  /** @param rEmbed `[B,c_r]` */
  #pass(tokens: Tensor, rEmbed: Tensor, condition: Condition): Tensor {
    const batches = { conditions: condition.batch, 'noise levels': rEmbed.shape[0] };
    for (const [name, count] of Object.entries(batches)) {
      if (count === tokens.shape[0]) continue;
      throw new PaellaError('shape', `${tokens.shape[0]} pictures but ${count} ${name}`, {
        operands: { tokens: tokens.toString() },
      });
    }
    return scope(() => {
      const run = (x: Tensor, block: Block, skip?: Tensor): Tensor =>
        scope(() =>
          block instanceof ResBlock ? block.forward(x, skip) : block.forward(x, { rEmbed, condition }),
        );

      let x = this.#embed(tokens);
      const skips: Tensor[] = [];
      // What no later block reads is freed on the way, so that a pass holds few activations at once.
      const advance = (next: Tensor): void => {
        if (!skips.includes(x)) x.dispose();
        x = next;
      };
      for (const level of this.down_blocks) {
        for (const block of level) advance(run(x, block));
        skips.push(x);
      }
      skips.pop();
      for (const [i, level] of [...this.up_blocks].entries()) {
        const skip = i > 0 ? skips.pop() : undefined;
        for (const [j, block] of [...level].entries()) advance(run(x, block, j === 0 ? skip : undefined));
        skip?.dispose();
      }
      const patches = this.clf.get(1).forward(norm(x));
      return norm(ops.pixelShuffle(patches, this.config.patch_size));
    });
  }

  /** The last linear layer's weight, `[c_out, num_labels]`. */
  headWeight(): Tensor {
    return this.out_mapper.get(1).weight.value.reshape([this.config.c_out, this.config.num_labels]);
  }

  /**
   * Makes conditions ready for many passes; their entries are stacked along the batch in the given order, and their
   * tokens padded to the longest. The caller disposes of the result.
   *
   * @throws PaellaError `argument` for lengths, a presence or weights that do not fit the tokens
   */
  prepare(inputs: readonly ConditionInputs[]): Condition {
    return scope(() => {
      const embeds = new Map([...new Set(inputs)].map((one) => [one, this.genCEmbeddings(one)]));
      const longest = Math.max(...[...embeds.values()].map(({ shape }) => shape[1]));
      const padded = inputs.map((one) => {
        const embed = embeds.get(one)!;
        const [b, s, c] = embed.shape;
        return s === longest ? embed : ops.cat([embed, this.device.zeros([b, longest - s, c])], 1);
      });
      const activated = (padded.length > 1 ? ops.cat(padded, 0) : padded[0]).silu();
      const projections = this.#attentionBlocks().map((block) =>
        scope(() => block.projectCondition(activated)),
      );
      const entries = inputs.flatMap((one) => conditionEntries(one, embeds.get(one)!.shape[1]));
      return new Condition(this.device, longest, projections, entries);
    });
  }

  /**
   * The sequence of condition tokens: ByT5's, then the CLIP text's, then those of each CLIP image, all
   * normalised.
   *
   * @returns `[B,S,c_cond]`
   */
  genCEmbeddings({ byt5, clip, clipImage }: ConditionInputs): Tensor {
    const { c_cond, clip_seq_len } = this.config;
    const spread = (mapper: nn.Linear, vector: Tensor): Tensor =>
      mapper.forward(vector).reshape([vector.shape[0], clip_seq_len, c_cond]);
    const images = clipImage ? [clipImage].flat() : [];
    return scope(() => {
      const parts = [
        this.byt5_mapper.forward(byt5),
        ...(clip ? [spread(this.clip_mapper, clip)] : []),
        ...images.map((image) => spread(this.clip_image_mapper, image)),
      ];
      return norm(parts.length > 1 ? ops.cat(parts, 1) : parts[0]);
    });
  }

  /**
   * Sinusoidal embedding of the noise level.
   *
   * @param r `[B]`
   * @returns `[B,c_r]`: sines, then cosines, then a zero if c_r is odd
   */
  genREmbedding(r: ArrayLike<number> | Tensor): Tensor {
    return this.#noiseLevel.forward(r);
  }

  override dispose(): void {
    super.dispose();
    this.#noiseLevel.dispose();
  }

  /** Token vectors, folded into patches, mapped to the first level's channels and normalised. */
  #embed(tokens: Tensor): Tensor {
    return scope(() => {
      const vectors = norm(this.in_mapper.get(0).forward(tokens));
      return norm(this.embedding.get(1).forward(ops.pixelUnshuffle(vectors, this.config.patch_size)));
    });
  }

  #attentionBlocks(): AttnBlock[] {
    const levels = [...this.down_blocks, ...this.up_blocks];
    return levels.flatMap((level) => [...level].filter((block) => block instanceof AttnBlock));
  }
}

/** What heights and widths in tokens must be multiples of. */
export const tokenMultiple = ({ patch_size, c_hidden }: PaellaConfig): number =>
  patch_size * 2 ** (c_hidden.length - 1);

function checkConfig(config: PaellaConfig): void {
  const { c_hidden, nhead, blocks, level_config, kernel_size } = config;
  const refuse = (message: string): never => {
    throw new PaellaError('argument', `Paella's configuration: ${message}`);
  };
  const levels = c_hidden.length;
  if ([nhead, blocks, level_config].some((list) => list.length !== levels)) {
    refuse(`c_hidden, nhead, blocks and level_config must have one entry a level, ${levels}`);
  }
  if (kernel_size % 2 === 0) refuse(`kernel_size must be odd, got ${kernel_size}`);
  level_config.forEach((letters, i) => {
    if (!/^C[CTA]*$/.test(letters))
      refuse(`level_config "${letters}" must start with C and hold only C, T and A`);
    if (letters.includes('A') && (nhead[i] <= 0 || c_hidden[i] % nhead[i] !== 0)) {
      refuse(`level ${i} divides ${c_hidden[i]} channels among ${nhead[i]} heads`);
    }
  });
}
