import { morph as drawMorphed } from 'paella';
import type { Context } from '../context.js';
import { type PictureOptions, drawPictures } from '../pictures.js';

export interface MorphOptions extends PictureOptions {
  strength?: number;
  startStep?: number;
  size?: [number, number];
}

/** `paella morph`: a prompt over the structure of a picture. */
export async function morph(
  context: Context,
  file: string,
  prompt: string,
  options: MorphOptions,
): Promise<void> {
  const { strength, startStep, size } = options;
  const { readImage } = await import('../image-file.js');
  const image = readImage(file);
  await drawPictures(context, options, prompt, (pipeline, drawing) =>
    drawMorphed(pipeline, image, prompt, { ...drawing, strength, startStep, size }),
  );
}
