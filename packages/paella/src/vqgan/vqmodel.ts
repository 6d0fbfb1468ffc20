import { type StateDict, type Tensor, PaellaError, nn, ops, scope } from '@paella/tensor';
import { xavier } from '../unet/init.js';

/** A VQGAN's configuration, with upstream's field names. */
export interface VQModelConfig {
  /** The picture is `2^levels` times as wide as its grid of tokens. */
  levels: number;
  bottleneck_blocks: number;
  c_hidden: number;
  c_latent: number;
  codebook_size: number;
  /** Latents handed out by `encode` are divided by this; tokens are not affected. */
  scale_factor: number;
}

/** The released `vqgan_f4.pt`: 18,406,894 parameters. */
export const VQGAN_F4: VQModelConfig = {
  levels: 2,
  bottleneck_blocks: 12,
  c_hidden: 384,
  c_latent: 4,
  codebook_size: 8192,
  scale_factor: 0.3764,
};

const CODEBOOK = 'vquantizer.codebook.weight';
const DIFFUSERS_CODEBOOK = 'vquantizer.embedding.weight';

/**
 * A block with learned scalar gates, all starting at zero: a depthwise convolution and a pair of linear
 * layers, each on a normalised, scaled and shifted copy of its input.
 */
class ResBlock extends nn.Module {
  readonly gammas: nn.Parameter;
  readonly depthwise: nn.Positions<{ 1: nn.Conv2d }>;
  readonly channelwise: nn.Positions<{ 0: nn.Linear; 2: nn.Linear }>;

  constructor(c: number, context: nn.ModuleContext) {
    super(context);
    this.gammas = new nn.Parameter(context.device, [6]);
    this.depthwise = new nn.Positions(context, {
      1: new nn.Conv2d(c, c, 3, context, { padding: 1, groups: c, paddingMode: 'replicate' }),
    });
    this.channelwise = new nn.Positions(context, {
      0: new nn.Linear(c, 4 * c, context),
      2: new nn.Linear(4 * c, c, context),
    });
    if (context.rng) {
      nn.init.constant_(this.gammas, 0);
      for (const layer of [this.depthwise.get(1), this.channelwise.get(0), this.channelwise.get(2)]) {
        xavier(layer, context.rng);
      }
    }
  }

  /** `[B,H,W,c]` → `[B,H,W,c]` */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const [scale0, shift0, gate0, scale1, shift1, gate1] = Array.from({ length: 6 }, (_, i) =>
        this.gammas.value.slice(0, i, i + 1),
      );
      const adjusted = (input: Tensor, scale: Tensor, shift: Tensor): Tensor =>
        ops.layerNorm(input, { weight: scale.add(1), bias: shift, eps: 1e-6 });
      const mixed = this.depthwise.get(1).forward(adjusted(x, scale0, shift0));
      const h = x.add(mixed.mul(gate0));
      const wide = this.channelwise.get(0).forward(adjusted(h, scale1, shift1), { activation: 'gelu' });
      return h.add(this.channelwise.get(2).forward(wide).mul(gate1));
    });
  }
}

/** To the latent channels, which batch norm gives unit variance. */
class ToLatent extends nn.Positions<{ 0: nn.Conv2d; 1: nn.BatchNorm2d }> {
  forward(x: Tensor): Tensor {
    return scope(() => this.get(1).forward(this.get(0).forward(x)));
  }
}

class FromLatent extends nn.Positions<{ 0: nn.Conv2d }> {
  forward(x: Tensor): Tensor {
    return this.get(0).forward(x);
  }
}

type Block = ResBlock | nn.Conv2d | nn.ConvTranspose2d | ToLatent | FromLatent;

/** A picture's latents on both sides of the quantiser. */
export interface Encoded {
  /**
   * Codebook vectors divided by the scale factor, `[B,H/f,W/f,c_latent]`. Their gradient goes to the latents
   * (straight-through), not to the codebook.
   */
  quantized: Tensor;
  /** What was quantised, divided by the scale factor, `[B,H/f,W/f,c_latent]`. */
  latent: Tensor;
  /** Tokens, u32 `[B,H/f,W/f]`. */
  indices: Tensor;
  /** Codebook loss plus 0.25 × commitment loss, a scalar. */
  loss: Tensor;
  /** What moves the codes to the latents, and the latents to the codes, scalars. */
  codebookLoss: Tensor;
  commitmentLoss: Tensor;
}

/**
 * Paella's VQGAN: an image becomes a grid of codebook indices and comes back. Images are NHWC, RGB in
 * [0,1].
 */
export class VQModel extends nn.Module {
  readonly config: VQModelConfig;
  readonly in_block: nn.Positions<{ 1: nn.Conv2d }>;
  readonly down_blocks: nn.ModuleList<Block>;
  readonly vquantizer: Codebook;
  readonly up_blocks: nn.ModuleList<Block>;
  readonly out_block: nn.Positions<{ 0: nn.Conv2d }>;

  /** @param context.rng initialises the weights; without it, load a state dict */
  constructor(config: VQModelConfig, context: nn.ModuleContext) {
    super(context);
    this.config = config;
    const { levels, bottleneck_blocks, c_hidden, c_latent, codebook_size } = config;
    /** Channels of each level, the finest first. */
    const channels = Array.from({ length: levels }, (_, i) => Math.floor(c_hidden / 2 ** (levels - 1 - i)));
    const coarsest = channels[levels - 1];
    const resample = { stride: 2, padding: 1 };

    this.in_block = new nn.Positions(context, { 1: new nn.Conv2d(12, channels[0], 1, context) });
    this.down_blocks = new nn.ModuleList<Block>(context, [
      ...channels.flatMap((c, i) => [
        ...(i > 0 ? [new nn.Conv2d(channels[i - 1], c, 4, context, resample)] : []),
        new ResBlock(c, context),
      ]),
      new ToLatent(context, {
        0: new nn.Conv2d(coarsest, c_latent, 1, context, { bias: false }),
        1: new nn.BatchNorm2d(c_latent, context),
      }),
    ]);
    this.vquantizer = new Codebook(codebook_size, c_latent, context);
    this.up_blocks = new nn.ModuleList<Block>(context, [
      new FromLatent(context, { 0: new nn.Conv2d(c_latent, coarsest, 1, context) }),
      ...[...channels.entries()]
        .reverse()
        .flatMap(([i, c]) => [
          ...Array.from({ length: i === levels - 1 ? bottleneck_blocks : 1 }, () => new ResBlock(c, context)),
          ...(i > 0 ? [new nn.ConvTranspose2d(c, channels[i - 1], 4, context, resample)] : []),
        ]),
    ]);
    this.out_block = new nn.Positions(context, { 0: new nn.Conv2d(channels[0], 12, 1, context) });
  }

  /** Pixels along one side of a token. */
  get factor(): number {
    return pixelsPerToken(this.config);
  }

  /**
   * @param image `[B,H,W,3]` in [0,1]; H and W multiples of {@link factor}
   * @throws PaellaError `shape` if the image does not divide into tokens
   */
  encode(image: Tensor): Encoded {
    return scope(() => {
      const x = this.latents(image);
      const indices = this.#nearest(x);
      const codes = this.vquantizer.codebook.forward(indices);
      const codebookLoss = codes.sub(x.detach()).square().mean();
      const commitmentLoss = x.sub(codes.detach()).square().mean();
      const unscale = 1 / this.config.scale_factor;
      return {
        quantized: ops.straightThrough(codes, x).mul(unscale),
        latent: x.mul(unscale),
        indices,
        loss: codebookLoss.add(commitmentLoss.mul(0.25)),
        codebookLoss,
        commitmentLoss,
      };
    });
  }

  /**
   * The tokens of {@link encode} alone.
   *
   * @param image `[B,H,W,3]` in [0,1]; H and W multiples of {@link factor}
   * @returns u32 `[B,H/f,W/f]`
   * @throws PaellaError `shape` if the image does not divide into tokens
   */
  encodeIndices(image: Tensor): Tensor {
    return scope(() => this.#nearest(this.latents(image)));
  }

  /**
   * What the quantiser sees, not divided by the scale factor.
   *
   * @param image `[B,H,W,3]` in [0,1]; H and W multiples of {@link factor}
   * @returns `[B,H/f,W/f,c_latent]`
   * @throws PaellaError `shape` if the image does not divide into tokens
   */
  latents(image: Tensor): Tensor {
    const [, h, w, c] = image.shape;
    if (image.rank !== 4 || c !== 3 || h % this.factor !== 0 || w % this.factor !== 0) {
      throw new PaellaError(
        'shape',
        `an image must be [B,H,W,3] with H and W multiples of ${this.factor}, got ${image.toString()}`,
      );
    }
    return scope(() => {
      let x = this.in_block.get(1).forward(ops.pixelUnshuffle(image, 2));
      for (const block of this.down_blocks) x = runAndFree(block, x);
      return x;
    });
  }

  #nearest(latents: Tensor): Tensor {
    return ops.nearestCode(latents, this.vquantizer.codebook.weight.value);
  }

  /**
   * @param z latents as `encode` returns them, `[B,h,w,c_latent]`
   * @returns `[B,h·f,w·f,3]`, not clamped
   */
  decode(z: Tensor): Tensor {
    return scope(() => this.#decodeCodes(z.mul(this.config.scale_factor)));
  }

  /**
   * @param indices tokens, u32 `[B,h,w]`
   * @returns `[B,h·f,w·f,3]`, not clamped
   */
  decodeIndices(indices: Tensor): Tensor {
    return scope(() => this.#decodeCodes(this.vquantizer.codebook.forward(indices)));
  }

  /** Loads upstream's checkpoints, and diffusers', which call the codebook an embedding. */
  override loadStateDict(
    state: StateDict,
    options?: Parameters<nn.Module['loadStateDict']>[1],
  ): Promise<{ missing: string[]; unexpected: string[] }> {
    if (!state.keys().includes(DIFFUSERS_CODEBOOK)) return super.loadStateDict(state, options);
    const theirs = (key: string): string => (key === CODEBOOK ? DIFFUSERS_CODEBOOK : key);
    const renamed: StateDict = {
      keys: () => state.keys().map((key) => (key === DIFFUSERS_CODEBOOK ? CODEBOOK : key)),
      info: (key) => state.info(theirs(key)),
      get: (key) => state.get(theirs(key)),
    };
    return super.loadStateDict(renamed, options);
  }

  #decodeCodes(codes: Tensor): Tensor {
    let x = codes;
    for (const block of this.up_blocks) x = runAndFree(block, x);
    return ops.pixelShuffle(this.out_block.get(0).forward(x), 2);
  }
}

/** Pixels along one side of a token. */
export const pixelsPerToken = ({ levels }: VQModelConfig): number => 2 ** levels;

/** `[K,c_latent]` under upstream's key. */
class Codebook extends nn.Module {
  readonly codebook: nn.Embedding;

  constructor(size: number, dim: number, context: nn.ModuleContext) {
    super(context);
    this.codebook = new nn.Embedding(size, dim, context);
    if (context.rng) nn.init.uniform_(this.codebook.weight, context.rng, 1 / size);
  }
}

/** The next activation; the last one is freed, since nothing else reads it. */
function runAndFree(block: Block, x: Tensor): Tensor {
  const next = block.forward(x);
  x.dispose();
  return next;
}
