import { type Tensor, nn, noGrad, ops, scope } from '@paella/tensor';

/** A patch discriminator's configuration, with upstream's field names. */
export interface DiscriminatorConfig {
  c_in: number;
  /** Channels of the deepest convolutions. */
  c_hidden: number;
  /** Convolutions; each halves the picture. */
  depth: number;
}

/**
 * A 3×3 convolution of stride 2 whose weight is divided by its largest singular value (spectral norm, arXiv
 * 1802.05957), with the keys of PyTorch's `spectral_norm`. In training mode each pass improves the estimate of that
 * value by one power iteration.
 */
class SpectralConv extends nn.Module {
  readonly bias: nn.Parameter;
  readonly weight_orig: nn.Parameter;
  readonly weight_u: nn.Parameter;
  readonly weight_v: nn.Parameter;

  constructor(inChannels: number, outChannels: number, context: nn.ModuleContext) {
    super(context);
    const { device, rng } = context;
    this.bias = new nn.Parameter(device, [outChannels]);
    this.weight_orig = new nn.Parameter(device, [outChannels, inChannels, 3, 3], { layout: 'conv' });
    this.weight_u = new nn.Parameter(device, [outChannels], { isBuffer: true });
    this.weight_v = new nn.Parameter(device, [inChannels * 9], { isBuffer: true });
    if (rng) {
      nn.init.torchDefault_(this.weight_orig, this.bias, rng);
      for (const vector of [this.weight_u, this.weight_v]) {
        nn.init.normal_(vector, rng, 1);
        vector.value = scope(() => unit(vector.value));
      }
    }
  }

  /** `[B,H,W,in]` → `[B,H/2,W/2,out]` */
  forward(x: Tensor): Tensor {
    const [kh, kw, ci, co] = this.weight_orig.storedShape;
    const matrix = this.weight_orig.value.reshape([kh * kw * ci, co]);
    if (this.training) noGrad(() => scope(() => this.#iterate(matrix)));
    // PyTorch orders v by channel, row and column; the weight is stored by row, column and channel.
    const v = this.weight_v.value
      .reshape([ci, kh, kw])
      .permute([1, 2, 0])
      .reshape([1, kh * kw * ci]);
    // A copy: the next pass moves u before this one's gradient is computed.
    const u = this.weight_u.value.mul(1);
    const sigma = v.matmul(matrix).mul(u).sum();
    const weight = this.weight_orig.value.div(sigma);
    return ops.conv2d(x, weight, { bias: this.bias.value, stride: 2, padding: 1 });
  }

  #iterate(matrix: Tensor): void {
    const [kh, kw, ci, co] = this.weight_orig.storedShape;
    const v = unit(matrix.matmul(this.weight_u.value.reshape([co, 1])));
    const u = unit(v.reshape([1, kh * kw * ci]).matmul(matrix));
    this.weight_v.value = v
      .reshape([kh, kw, ci])
      .permute([2, 0, 1])
      .reshape([ci * kh * kw]);
    this.weight_u.value = u.reshape([co]);
  }
}

const unit = (x: Tensor): Tensor => x.div(x.square().sum().sqrt().maximum(1e-12));

/**
 * Paella's patch discriminator: says of each patch of a picture whether it looks real. Used only to train the VQGAN.
 */
export class Discriminator extends nn.Module {
  readonly config: DiscriminatorConfig;
  readonly encoder: nn.Positions<Record<number, SpectralConv>>;
  readonly shuffle: nn.Conv2d;

  /** @param context.rng initialises the weights; without it, load a state dict */
  constructor(config: DiscriminatorConfig, context: nn.ModuleContext) {
    super(context);
    this.config = config;
    const { c_in, c_hidden, depth } = config;
    const halvings = Math.max(depth - 3, 3);
    const width = (i: number): number => Math.floor(c_hidden / 2 ** Math.max(halvings - i, 0));
    const layers: Record<number, SpectralConv> = { 0: new SpectralConv(c_in, width(0), context) };
    // Places in upstream's Sequential: after the first pair come triples of convolution, norm and activation.
    for (let i = 1; i < depth; i++) layers[3 * i - 1] = new SpectralConv(width(i - 1), width(i), context);
    this.encoder = new nn.Positions(context, layers);
    this.shuffle = new nn.Conv2d(width(depth - 1), 1, 1, context);
  }

  /**
   * How real each patch looks, before the sigmoid.
   *
   * @param image `[B,H,W,c_in]` in [0,1]
   * @returns `[B,H/2^depth,W/2^depth,1]`
   */
  logits(image: Tensor): Tensor {
    return scope(() => {
      let x = this.encoder.get(0).forward(image).leakyRelu(0.2);
      for (let i = 1; i < this.config.depth; i++) {
        x = ops.instanceNorm(this.encoder.get(3 * i - 1).forward(x)).leakyRelu(0.2);
      }
      return this.shuffle.forward(x);
    });
  }

  /** The probability that each patch is real, `[B,H/2^depth,W/2^depth,1]`. */
  forward(image: Tensor): Tensor {
    return scope(() => this.logits(image).sigmoid());
  }
}
