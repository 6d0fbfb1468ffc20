import { scope } from '@paella/tensor';
import { type GenerateOptions, type Generation, type Pipeline, randomSeed } from '../pipeline.js';
import { type Area, tokenShares } from './area.js';
import { onePerPicture, pictureCount } from './redraw.js';

/** Rises evenly from 0 at the left (or top) edge to 1 at the right (or bottom) edge. */
export type Ramp = 'horizontal' | 'vertical';

export interface PromptRegion {
  prompt: string;
  /** A box in pixels, a mask picture of the size that is drawn (white where the prompt counts, grey in part), or a ramp. */
  area: Area | Ramp;
}

/**
 * Draws a picture whose parts have prompts of their own: at every token the predictions for all prompts are mixed by
 * their shares (the first version's multi-conditioning, for conditions that are not maps).
 *
 * @param prompt counts where no region does
 * @param regions a later one covers those before it
 * @throws PaellaError `argument` for a box outside of the picture, `shape` for a mask of another size
 */
export async function generateRegions(
  pipeline: Pipeline,
  prompt: string,
  regions: readonly PromptRegion[],
  options: GenerateOptions = {},
): Promise<Generation> {
  const { seed = randomSeed(), ...rest } = options;
  const count = pictureCount(options);
  const size = options.size ?? pipeline.model.imageSize;
  const grid = pipeline.tokenGrid(size);
  const areas = regions.map(({ area }) => area);
  const shares = regionShares(areas, size, grid);
  const requests = [{ prompt }, ...regions].map((one) => onePerPicture({ prompt: one.prompt }, options));
  return scope(async () => {
    const [uncond, ...all] = await pipeline.conditions(
      [pipeline.negativeRequest(options), ...requests.flat()],
      { ...options, seed },
    );
    const [conditions, ...others] = requests.map((_, i) => all.slice(i * count, (i + 1) * count));
    return pipeline.draw(conditions, uncond, {
      ...rest,
      seed,
      regions: others.map((cond, i) => ({ cond, weight: pipeline.device.tensor(shares[i], grid) })),
    });
  });
}

/** What share each region has of each token, row by row, after later ones have covered earlier ones. */
export function regionShares(
  areas: readonly (Area | Ramp)[],
  size: readonly [number, number],
  [rows, columns]: readonly [number, number],
): Float32Array<ArrayBuffer>[] {
  const rest = new Float32Array(rows * columns).fill(1);
  const shares = [...areas].reverse().map((area) => {
    const own =
      typeof area === 'string' ? rampShares(area, rows, columns) : tokenShares(area, size, size[0] / columns);
    return rest.map((free, i) => {
      rest[i] = free * (1 - own[i]);
      return free * own[i];
    });
  });
  return shares.reverse();
}

function rampShares(ramp: Ramp, rows: number, columns: number): number[] {
  return Array.from({ length: rows * columns }, (_, i) =>
    ramp === 'horizontal'
      ? (i % columns) / Math.max(1, columns - 1)
      : Math.floor(i / columns) / Math.max(1, rows - 1),
  );
}
