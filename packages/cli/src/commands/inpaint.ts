import { PaellaError } from '@paella/tensor';
import { type Box, inpaint as drawInpainted } from 'paella';
import type { Context } from '../context.js';
import { type PictureOptions, drawPictures } from '../pictures.js';

export interface InpaintOptions extends PictureOptions {
  mask?: string;
  box?: Box;
  invert?: boolean;
  size?: [number, number];
  keepPixels: boolean;
}

/** `paella inpaint`: a part of a picture drawn anew. */
export async function inpaint(
  context: Context,
  file: string,
  prompt: string,
  options: InpaintOptions,
): Promise<void> {
  const { mask, box, invert, size, keepPixels } = options;
  if (!mask === !box) {
    throw new PaellaError('argument', 'inpaint needs either --mask or --box', {
      fix: 'Give the part of the picture that is to change.',
    });
  }
  const { readImage } = await import('../image-file.js');
  const image = readImage(file);
  const area = box ?? readImage(mask!);
  await drawPictures(context, options, prompt, (pipeline, drawing) =>
    drawInpainted(pipeline, image, area, prompt, { ...drawing, invert, size, keepPixels }),
  );
}
