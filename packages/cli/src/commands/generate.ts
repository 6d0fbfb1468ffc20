import { PaellaError } from '@paella/tensor';
import { type PromptRegion, type Ramp, generateRegions } from 'paella';
import type { Context } from '../context.js';
import type { RegionOption } from '../options.js';
import { type PictureOptions, drawPictures } from '../pictures.js';

export interface GenerateOptions extends PictureOptions {
  size?: [number, number];
  region: RegionOption[];
  ramp?: Ramp;
  to?: string;
}

/** `paella generate`: pictures for a prompt, or for several that share a picture. */
export async function generate(context: Context, prompt: string, options: GenerateOptions): Promise<void> {
  const { size } = options;
  const regions = await readRegions(options);
  await drawPictures(context, options, prompt, (pipeline, drawing) =>
    regions.length > 0
      ? generateRegions(pipeline, prompt, regions, { ...drawing, size })
      : pipeline.generate(prompt, { ...drawing, size }),
  );
}

async function readRegions({ region, ramp, to }: GenerateOptions): Promise<PromptRegion[]> {
  if (!ramp !== (to === undefined)) {
    throw new PaellaError('argument', '--ramp and --to go together', {
      fix: 'Give a direction and the prompt that it leads to.',
    });
  }
  const { readImage } = await import('../image-file.js');
  const areas = region.map(({ prompt, area }) => ({
    prompt,
    area: typeof area === 'string' ? readImage(area) : area,
  }));
  return ramp ? [{ prompt: to!, area: ramp }, ...areas] : areas;
}
