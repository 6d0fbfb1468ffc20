import { PaellaError } from '@paella/tensor';
import type { RgbaImage } from '../image.js';
import type { GenerateOptions, Generation, Pipeline } from '../pipeline.js';
import { drawRequest } from './redraw.js';

export interface VaryOptions extends GenerateOptions {
  /** What else the pictures should show; nothing by default, so that the given pictures alone decide. */
  prompt?: string;
}

/**
 * Draws pictures that show what given ones show: the U-Net is told their CLIP image vectors, each in its own condition
 * tokens, instead of a prompt or beside one.
 *
 * @param images one or several, of any size
 * @throws PaellaError `unsupported` if the model has no image encoder, `argument` without pictures
 */
export async function vary(
  pipeline: Pipeline,
  images: readonly RgbaImage[],
  { prompt = '', ...options }: VaryOptions = {},
): Promise<Generation> {
  if (images.length === 0) throw new PaellaError('argument', 'vary needs a picture to vary');
  return drawRequest(pipeline, { prompt, images }, options, {});
}
