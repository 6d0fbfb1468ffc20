import type { Context } from '../context.js';
import { type PictureOptions, drawPictures } from '../pictures.js';

export interface GenerateOptions extends PictureOptions {
  size?: [number, number];
}

/** `paella generate`: pictures for a prompt. */
export async function generate(context: Context, prompt: string, options: GenerateOptions): Promise<void> {
  const { size } = options;
  await drawPictures(context, options, prompt, (pipeline, drawing) =>
    pipeline.generate(prompt, { ...drawing, size }),
  );
}
