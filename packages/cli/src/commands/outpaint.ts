import { PaellaError } from '@paella/tensor';
import { outpaint as drawOutpainted } from 'paella';
import type { Context } from '../context.js';
import { type PictureOptions, drawPictures } from '../pictures.js';

export interface OutpaintOptions extends PictureOptions {
  size?: [number, number];
  at?: [number, number];
  left?: number;
  right?: number;
  top?: number;
  bottom?: number;
  imageSize?: [number, number];
  keepPixels: boolean;
}

/** `paella outpaint`: what lies around a picture. */
export async function outpaint(
  context: Context,
  file: string,
  prompt: string,
  options: OutpaintOptions,
): Promise<void> {
  const { size, at, left, right, top, bottom, imageSize, keepPixels } = options;
  const margins = { left, right, top, bottom };
  const hasMargins = Object.values(margins).some((margin) => margin !== undefined);
  if (hasMargins === (size !== undefined) || (at && !size)) {
    throw new PaellaError('argument', 'outpaint needs either --size, perhaps with --at, or margins', {
      fix: 'Give the size of the result, or one or more of --left, --right, --top and --bottom.',
    });
  }
  const { readImage } = await import('../image-file.js');
  const image = readImage(file);
  const surroundings = size ? { size, at } : margins;
  await drawPictures(context, options, prompt, (pipeline, drawing) =>
    drawOutpainted(pipeline, image, surroundings, prompt, { ...drawing, imageSize, keepPixels }),
  );
}
