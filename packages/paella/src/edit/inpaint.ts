import { scope } from '@paella/tensor';
import type { RgbaImage } from '../image.js';
import type { GenerateOptions, Generation, Pipeline } from '../pipeline.js';
import { type Area, tokenMask } from './area.js';
import { fitPicture, redraw } from './redraw.js';

export interface InpaintOptions extends GenerateOptions {
  /** Draw what is outside of the area and keep what is inside. */
  invert?: boolean;
  /**
   * Return the picture's own pixels where tokens are kept (the default). Without, all pixels are the VQGAN's, which
   * changes them slightly everywhere but leaves no seam.
   */
  keepPixels?: boolean;
}

/**
 * Draws a part of a picture anew. A token, the square of pixels that is drawn as one, is drawn if any of its pixels
 * belongs to the area by half or more; all others keep their value in every step.
 *
 * @param image transparency shows white
 * @param area a box in pixels, or a mask picture of the image's size: white and opaque where the picture is to change
 * @param options.size scales and crops the picture (and a mask with it) to cover these pixels first; by default it keeps
 *   its size, which must be a multiple of `pipeline.sizeMultiple`
 * @throws PaellaError `argument` for a size, a box or a mask that does not fit, `shape` for a mask of another size
 */
export async function inpaint(
  pipeline: Pipeline,
  image: RgbaImage,
  area: Area,
  prompt: string,
  { invert, keepPixels = true, ...options }: InpaintOptions = {},
): Promise<Generation> {
  const pixels = fitPicture(pipeline, image, options.size);
  const mask = tokenMask(area, [pixels.width, pixels.height], {
    factor: pipeline.model.factor,
    invert,
    from: [image.width, image.height],
  });
  return scope(async () => {
    const tokens = await pipeline.encode([pixels]);
    return redraw(pipeline, { pixels, tokens, mask }, prompt, options, keepPixels);
  });
}
