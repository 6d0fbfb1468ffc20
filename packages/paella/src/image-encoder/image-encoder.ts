import { PaellaError, type Tensor, nn, ops, scope } from '@paella/tensor';
import { type RgbaImage, tensorFromImages } from '../image.js';
import { coverImage } from '../resize.js';
import { ResBlock, norm } from '../unet/blocks.js';

export interface ImageEncoderConfig {
  /** Side of the square pictures, in pixels. */
  image_size: number;
  /** Side of a patch, in pixels: the first level has one vector a patch. */
  patch_size: number;
  /** Channels of each level; the grid of each has half the side of the one before. */
  c_hidden: number[];
  /** Length of the result, the U-Net's `clip_embd`. */
  embed_dim: number;
}

/** Layer norm, then a 2×2 convolution with stride 2. */
class Downsample extends nn.Positions<{ 1: nn.Conv2d }> {
  forward(x: Tensor): Tensor {
    return this.get(1).forward(norm(x));
  }
}

/**
 * A small convolutional network that stands where a large model has CLIP's image tower: it reads a picture and gives the
 * vector that `clip_image_mapper` turns into condition tokens. It learns from the loss of the frozen U-Net, by
 * `denoisingStep` with its result as `clipImage`, so the vector says what that U-Net can make use of.
 */
export class ImageEncoder extends nn.Module {
  readonly config: ImageEncoderConfig;
  readonly in_block: nn.Positions<{ 1: nn.Conv2d }>;
  readonly blocks: nn.ModuleList<ResBlock | Downsample>;
  readonly proj: nn.Linear;

  /**
   * @param context.rng initialises the weights; without it, load a state dict
   * @throws PaellaError `argument` if the picture does not divide into the levels' grids
   */
  constructor(config: ImageEncoderConfig, context: nn.ModuleContext) {
    super(context);
    const { image_size, patch_size, c_hidden, embed_dim } = config;
    const side = image_size / (patch_size * 2 ** (c_hidden.length - 1));
    if (c_hidden.length === 0 || !Number.isInteger(side)) {
      const message = `pictures of ${image_size} pixels and patches of ${patch_size} do not make ${c_hidden.length} levels`;
      const fix =
        'Choose an image_size that is a multiple of patch_size·2^(levels − 1), and one level at least.';
      throw new PaellaError('argument', message, { fix });
    }
    this.config = config;
    const dropout = new nn.Dropout(0, context);
    this.in_block = new nn.Positions(context, {
      1: new nn.Conv2d(3 * patch_size ** 2, c_hidden[0], 1, context),
    });
    this.blocks = new nn.ModuleList<ResBlock | Downsample>(
      context,
      c_hidden.flatMap((c, i) => [
        ...(i > 0
          ? [new Downsample(context, { 1: new nn.Conv2d(c_hidden[i - 1], c, 2, context, { stride: 2 }) })]
          : []),
        new ResBlock(c, 0, 3, dropout, context),
      ]),
    );
    this.proj = new nn.Linear(c_hidden[c_hidden.length - 1] * side ** 2, embed_dim, context);
  }

  /**
   * @param pixels `[B,S,S,3]` in [0,1], S = image_size
   * @returns `[B,embed_dim]`, each of mean 0 and variance 1, so that mixtures of two keep the scale
   * @throws PaellaError `shape` for pictures of another size
   */
  forward(pixels: Tensor): Tensor {
    const { image_size: size, patch_size } = this.config;
    const [b, ...rest] = pixels.shape;
    if (rest.join() !== [size, size, 3].join()) {
      const message = `this image encoder reads [B,${size},${size},3], got ${pixels.toString()}`;
      throw new PaellaError('shape', message, { fix: 'Give the pictures to encode(), which scales them.' });
    }
    return scope(() => {
      const patches = ops.pixelUnshuffle(pixels.mul(2).sub(1), patch_size);
      let x = norm(this.in_block.get(1).forward(patches));
      for (const block of this.blocks) x = block.forward(x);
      return norm(this.proj.forward(norm(x).reshape([b, x.size / b])));
    });
  }

  /**
   * What pictures of any size look like: their middle square, scaled. Transparency shows white.
   *
   * @returns `[B,embed_dim]`, what the U-Net takes as `clipImage`
   * @throws PaellaError `argument` without a picture, or for one without pixels
   */
  encode(images: readonly RgbaImage[]): Tensor {
    if (images.length === 0 || images.some(({ width, height }) => width < 1 || height < 1)) {
      const sizes = images.map(({ width, height }) => `${width}×${height}`).join(', ') || 'none';
      throw new PaellaError(
        'argument',
        `the image encoder needs pictures of at least one pixel, got ${sizes}`,
      );
    }
    const { image_size: size } = this.config;
    const scaled = images.map((image) => coverImage(image, size, size));
    return scope(() => this.forward(tensorFromImages(this.device, scaled)));
  }
}
