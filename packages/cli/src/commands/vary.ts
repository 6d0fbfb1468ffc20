import { basename, extname } from 'node:path';
import { vary as drawVaried } from 'paella';
import type { Context } from '../context.js';
import { type PictureOptions, drawPictures } from '../pictures.js';

export interface VaryOptions extends PictureOptions {
  prompt?: string;
  size?: [number, number];
}

/** `paella vary`: pictures that show what given ones show. */
export async function vary(context: Context, files: readonly string[], options: VaryOptions): Promise<void> {
  const { prompt, size } = options;
  const { readImage } = await import('../image-file.js');
  const images = files.map(readImage);
  const title = [...files.map((file) => basename(file, extname(file))), prompt ?? ''].join(' ');
  await drawPictures(context, options, `${title} varied`, (pipeline, drawing) =>
    drawVaried(pipeline, images, { ...drawing, prompt, size }),
  );
}
