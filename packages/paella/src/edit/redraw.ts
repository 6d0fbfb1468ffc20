import { type Tensor, scope } from '@paella/tensor';
import type { ConditionRequest } from '../conditioner.js';
import type { RgbaImage } from '../image.js';
import {
  type DrawOptions,
  type GenerateOptions,
  type Generation,
  type Pipeline,
  randomSeed,
} from '../pipeline.js';
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
    const requests = [negativeRequest(pipeline, options), ...onePerPicture(request, options)];
    const [uncond, ...conditions] = await pipeline.conditions(requests, { ...options, seed });
    return pipeline.draw(conditions, uncond, { ...rest, seed, ...drawing });
  });
}

/** What pictures move away from: the user's words, else those of the settings, else the empty prompt. */
export function negativeRequest(pipeline: Pipeline, options: GenerateOptions): ConditionRequest {
  const prompt = options.negative ?? pipeline.settings(options).negative ?? '';
  return { prompt, asWritten: true, usePrior: false };
}

/** A request for each of `count` pictures; a prior imagines something else for each. */
export function onePerPicture(
  request: ConditionRequest,
  { count = 1, first = 0 }: GenerateOptions,
): ConditionRequest[] {
  return Array.from({ length: count }, (_, n) => ({ ...request, index: first + n }));
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
