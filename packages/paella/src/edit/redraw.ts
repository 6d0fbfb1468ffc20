import { PaellaError, type Tensor, scope } from '@paella/tensor';
import type { ConditionRequest } from '../conditioner.js';
import type { RgbaImage } from '../image.js';
import {
  type DrawOptions,
  type GenerateOptions,
  type Generation,
  type Pipeline,
  randomSeed,
} from '../pipeline.js';
import { coverImage } from '../resize.js';
import { restoreKept } from './area.js';

/**
 * Draws `count` pictures of one request: what most applications end in.
 *
 * @param drawing what is not the user's to choose
 */
export function drawRequest(
  pipeline: Pipeline,
  request: ConditionRequest,
  options: GenerateOptions,
  drawing: DrawOptions,
): Promise<Generation> {
  const { seed = randomSeed(), ...rest } = options;
  return scope(async () => {
    const requests = [pipeline.negativeRequest(options), ...onePerPicture(request, options)];
    const [uncond, ...conditions] = await pipeline.conditions(requests, { ...options, seed });
    return pipeline.draw(conditions, uncond, { ...rest, seed, ...drawing });
  });
}

/** A request for each of `count` pictures; a prior imagines something else for each. */
export function onePerPicture(request: ConditionRequest, options: GenerateOptions): ConditionRequest[] {
  const { first = 0 } = options;
  return Array.from({ length: pictureCount(options) }, (_, n) => ({ ...request, index: first + n }));
}

/** @throws PaellaError `argument` for a count that is none */
export function pictureCount({ count = 1 }: GenerateOptions): number {
  if (Number.isInteger(count) && count >= 1) return count;
  throw new PaellaError('argument', `count must be a whole number ≥ 1, got ${count}`);
}

/**
 * A picture as it is edited: in its own size, or scaled and cropped to cover another; transparency becomes white.
 *
 * @throws PaellaError `argument` for a size that is no multiple of `pipeline.sizeMultiple`
 */
export function fitPicture(
  pipeline: Pipeline,
  image: RgbaImage,
  size?: readonly [number, number],
): RgbaImage {
  const { sizeMultiple } = pipeline;
  const [width, height] = size ?? [image.width, image.height];
  if (!size && (width % sizeMultiple !== 0 || height % sizeMultiple !== 0)) {
    const nearest = [width, height].map(
      (side) => Math.max(1, Math.round(side / sizeMultiple)) * sizeMultiple,
    );
    throw new PaellaError('argument', `a picture of ${width}×${height} does not divide into tokens`, {
      fix: `Give a size, such as ${nearest.join('×')}, to scale and crop it.`,
    });
  }
  pipeline.tokenGrid([width, height]);
  return coverImage(image, width, height);
}

/** A picture of which a part stays while the rest is drawn. */
interface Canvas {
  /** The picture where it is kept; anything elsewhere. */
  pixels: RgbaImage;
  /** Its tokens, u32 `[1,H,W]`. */
  tokens: Tensor;
  /** 1 for each token to draw, row by row. */
  mask: Uint32Array<ArrayBuffer>;
}

/**
 * Draws the masked tokens of a canvas; the sampler holds the others in every step.
 *
 * @param keepPixels put back the kept tokens' own pixels, in previews and results
 */
export async function redraw(
  pipeline: Pipeline,
  { pixels, tokens, mask }: Canvas,
  prompt: string,
  options: GenerateOptions,
  keepPixels: boolean,
): Promise<Generation> {
  const { factor } = pipeline.model;
  const finish = (images: RgbaImage[]): RgbaImage[] =>
    keepPixels ? images.map((image) => restoreKept(image, pixels, mask, factor)) : images;
  const { onStep } = options;
  const drawing = {
    size: [pixels.width, pixels.height],
    init: tokens,
    mask: pipeline.device.tensor(mask, tokens.shape),
    onStep: onStep && ((info) => onStep({ ...info, preview: async () => finish(await info.preview()) })),
  } satisfies DrawOptions;
  const generation = await drawRequest(pipeline, { prompt }, options, drawing);
  return { ...generation, images: finish(generation.images) };
}
