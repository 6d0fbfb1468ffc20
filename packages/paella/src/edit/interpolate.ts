import { PaellaError, scope } from '@paella/tensor';
import type { ConditionRequest } from '../conditioner.js';
import { type GenerateOptions, type Generation, type Pipeline, randomSeed } from '../pipeline.js';
import { type BlendMethod, blend, readCondition, writeCondition } from './blend.js';

export interface InterpolateOptions extends Omit<GenerateOptions, 'count'> {
  /** Pictures from one end to the other, both included; 8 by default. */
  frames?: number;
  /** Straight (`lerp`), or along the arc between the vectors' directions (`slerp`, the default). */
  method?: BlendMethod;
}

/**
 * Draws the way from one condition to another: vectors of the text encoder and of CLIP are interpolated, and every frame
 * has the same noise. The first and the last frame are what `generate` draws for the ends with that seed.
 *
 * @param from a prompt, or a request with pictures for a model with an image encoder
 * @throws PaellaError `argument` for fewer than two frames, `unsupported` for ends of different kinds
 */
export async function interpolate(
  pipeline: Pipeline,
  from: string | ConditionRequest,
  to: string | ConditionRequest,
  { frames = 8, method = 'slerp', ...options }: InterpolateOptions = {},
): Promise<Generation> {
  if (!Number.isInteger(frames) || frames < 2) {
    throw new PaellaError('argument', `frames must be a whole number ≥ 2, got ${frames}`);
  }
  const { seed = randomSeed(), first = 0 } = options;
  const requests = [from, to].map((end) => ({
    ...(typeof end === 'string' ? { prompt: end } : end),
    index: first,
  }));
  return scope(async () => {
    const [uncond, start, end] = await pipeline.conditions([pipeline.negativeRequest(options), ...requests], {
      ...options,
      seed,
    });
    const { clipTokens } = pipeline.model;
    const [a, b] = [await readCondition(start, clipTokens), await readCondition(end, clipTokens)];
    const between = Array.from({ length: frames - 2 }, (_, i) =>
      writeCondition(pipeline.device, blend(a, b, (i + 1) / (frames - 1), method)),
    );
    return pipeline.draw([start, ...between, end], uncond, { ...options, seed, sameNoise: true });
  });
}
