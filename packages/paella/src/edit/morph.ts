import { PaellaError, Rng, ops, scope } from '@paella/tensor';
import type { RgbaImage } from '../image.js';
import { addNoise } from '../noise.js';
import { type GenerateOptions, type Generation, type Pipeline, randomSeed } from '../pipeline.js';
import type { Range, SampleOptions } from '../sample.js';
import { drawRequest, fitPicture, pictureCount } from './redraw.js';

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
  const start = beginning(scheduleOf(pipeline, options), { strength, startStep });
  const pixels = fitPicture(pipeline, image, options.size);
  const size = [pixels.width, pixels.height] as const;
  const count = pictureCount(options);
  const { first = 0, seed = randomSeed() } = options;
  return scope(async () => {
    const { numLabels } = pipeline.model;
    const shape = [count, ...pipeline.tokenGrid(size)];
    // The noise is the sampler's own first draw, so that all of it is what a generation begins with.
    const randomTokens = new Rng(seed).forEntries(first).randint(pipeline.device, 0, numLabels, shape);
    const rng = new Rng(seed, MASK_STREAM).forEntries(first);
    const tokens = ops.expand(await pipeline.encode([pixels]), shape);
    const { noised } = addNoise(tokens, start.tStart, { rng, numLabels, randomTokens });
    const drawing = { ...start, size, init: noised, renoise };
    return drawRequest(pipeline, { prompt }, { ...options, seed }, drawing);
  });
}

/** Far from the numbers of the draws that the sampler makes. */
const MASK_STREAM = 2 ** 30;

function scheduleOf(pipeline: Pipeline, options: GenerateOptions): Schedule {
  const { steps, renoiseSteps, temperature, cfg } = pipeline.settings(options);
  const { conditionalSteps } = options;
  return {
    steps,
    renoiseSteps,
    temperature,
    cfg: options.cfg === undefined ? cfg : options.cfg,
    conditionalSteps,
  };
}

/** What a sampler does from step to step. */
type Schedule = Required<Pick<SampleOptions, 'steps' | 'renoiseSteps' | 'temperature' | 'cfg'>> &
  Pick<SampleOptions, 'conditionalSteps'>;

/**
 * Where drawing begins, and what is left of the schedule from there.
 *
 * @throws PaellaError `argument` for a strength or step out of range, or both
 */
export function beginning(
  schedule: Schedule,
  { strength, startStep }: Pick<MorphOptions, 'strength' | 'startStep'>,
): Schedule & { tStart: number } {
  const { steps, renoiseSteps, temperature, cfg, conditionalSteps } = schedule;
  if (startStep === undefined) {
    const tStart = strength ?? DEFAULT_STRENGTH;
    if (tStart > 0 && tStart <= 1) return { ...schedule, tStart };
    throw new PaellaError('argument', `strength must be above 0 and at most 1, got ${tStart}`);
  }
  if (strength !== undefined) {
    const fix = 'Give one.';
    throw new PaellaError('argument', 'strength and startStep say the same in two ways', { fix });
  }
  if (!Number.isInteger(startStep) || startStep < 0 || startStep >= steps) {
    const expected = `a whole number from 0 to ${steps - 1}`;
    throw new PaellaError('argument', `startStep must be ${expected}, got ${startStep}`);
  }
  const left = (count: number): number => Math.max(0, count - startStep);
  const rest = (range: Range): Range => {
    if (typeof range === 'number') return range;
    const [from, to] = range;
    return [from + ((to - from) * startStep) / Math.max(1, steps - 1), to];
  };
  return {
    tStart: 1 - startStep / steps,
    steps: left(steps),
    renoiseSteps: left(renoiseSteps),
    conditionalSteps: conditionalSteps === undefined ? undefined : left(conditionalSteps),
    temperature: rest(temperature),
    cfg: cfg === null ? null : rest(cfg),
  };
}
