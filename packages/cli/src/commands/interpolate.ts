import { basename, extname } from 'node:path';
import { type BlendMethod, interpolate as drawInterpolated } from 'paella';
import type { Context } from '../context.js';
import { type PictureOptions, drawPictures } from '../pictures.js';

export interface InterpolateOptions extends Omit<PictureOptions, 'count'> {
  images?: boolean;
  frames: number;
  method: BlendMethod;
  size?: [number, number];
}

/** `paella interpolate`: the way from one prompt or picture to another. */
export async function interpolate(
  context: Context,
  from: string,
  to: string,
  options: InterpolateOptions,
): Promise<void> {
  const { frames, method, size } = options;
  const { readImage } = await import('../image-file.js');
  const ends = [from, to].map((end) =>
    options.images
      ? { name: basename(end, extname(end)), request: { prompt: '', images: [readImage(end)] } }
      : { name: end, request: { prompt: end } },
  );
  const title = ends.map(({ name }) => name).join(' to ');
  const [start, end] = ends.map(({ request }) => request);
  await drawPictures(
    context,
    { ...options, count: frames },
    title,
    (pipeline, drawing) => drawInterpolated(pipeline, start, end, { ...drawing, frames, method, size }),
    { framesAre: 'pictures' },
  );
}
