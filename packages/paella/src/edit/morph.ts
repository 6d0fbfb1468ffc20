import { PaellaError, Rng, scope } from '@paella/tensor';
import type { RgbaImage } from '../image.js';
import { addNoise } from '../noise.js';
import { type GenerateOptions, type Generation, type Pipeline, randomSeed } from '../pipeline.js';
import { coverImage } from '../resize.js';
import { drawRequest } from './redraw.js';

/** The first version began at step 8 of 24, where its schedule cos(πr/2) leaves 13 % of the tokens. */
const DEFAULT_STRENGTH = Math.cos(Math.PI / 6);

export interface MorphOptions extends GenerateOptions {
  /** Share of tokens that are replaced before drawing begins, in (0,1]; cos(π/6) ≈ 0.87 by default. */
  strength?: number;
  /** Instead of `strength`: begin at this step of all, so that 1 − startStep/steps of the tokens are replaced. */
  startStep?: number;
}

/**
 * Draws a prompt over the structure of a picture: replaces a share of its tokens by noise and goes on from there. The
 * steps fall from that share to nothing, and renoising puts back the tokens of the step before, so that the picture keeps
 * showing through. With a strength of 1 nothing is left of it.
 *
 * @param image transparency shows white
 * @param options.size scales and crops the picture to cover these pixels; by default it keeps its size, which must be a
 *   multiple of `pipeline.sizeMultiple`
 * @throws PaellaError `argument` for a size, strength or step out of range
 */
export async function morph(
  pipeline: Pipeline,
  image: RgbaImage,
  prompt: string,
  { strength, startStep, renoise = 'prev', ...options }: MorphOptions = {},
): Promise<Generation> {
  const start = beginning(pipeline.settings(options).steps, { strength, startStep });
  const size = options.size ?? ([image.width, image.height] as const);
  const grid = pipeline.tokenGrid(size);
  const { count = 1, first = 0, seed = randomSeed() } = options;
  return scope(async () => {
    const { numLabels } = pipeline.model;
    const shape = [count, ...grid];
    // The noise is the sampler's own first draw, so that all of it is what a generation begins with.
    const randomTokens = new Rng(seed).forEntries(first).randint(pipeline.device, 0, numLabels, shape);
    const rng = new Rng(seed, MASK_STREAM).forEntries(first);
    const tokens = await pipeline.encode(new Array<RgbaImage>(count).fill(coverImage(image, ...size)));
    const { noised } = addNoise(tokens, start.tStart, { rng, numLabels, randomTokens });
    const drawing = { ...start, size, init: noised, renoise };
    return drawRequest(pipeline, { prompt }, { ...options, seed }, drawing);
  });
}

/** Far from the numbers of the draws that the sampler makes. */
const MASK_STREAM = 2 ** 30;

/** Where drawing begins, and how many steps it takes from there. */
export function beginning(
  steps: number,
  { strength, startStep }: Pick<MorphOptions, 'strength' | 'startStep'>,
): { tStart: number; steps: number } {
  if (startStep === undefined) {
    const tStart = strength ?? DEFAULT_STRENGTH;
    if (tStart > 0 && tStart <= 1) return { tStart, steps };
    throw new PaellaError('argument', `strength must be above 0 and at most 1, got ${tStart}`);
  }
  if (strength !== undefined) {
    throw new PaellaError('argument', 'strength and startStep say the same in two ways', {
      fix: 'Give one.',
    });
  }
  if (!Number.isInteger(startStep) || startStep < 0 || startStep >= steps) {
    throw new PaellaError(
      'argument',
      `startStep must be a whole number from 0 to ${steps - 1}, got ${startStep}`,
    );
  }
  return { tStart: 1 - startStep / steps, steps: steps - startStep };
}
