import { PaellaError, Rng, type Tensor, noGrad, optim, scope } from '@paella/tensor';
import type { RgbaImage } from './image.js';
import { type Pipeline, randomSeed } from './pipeline.js';
import { coverImage } from './resize.js';
import { denoisingStep, optimizerStep } from './train.js';
import type { ConditionInputs } from './unet/condition.js';
import type { Paella } from './unet/paella.js';

/** A picture, and the words that it should be drawn for. */
export interface Example {
  /** Of any size: it is scaled to cover the model's, and what stands over is cut off. */
  image: RgbaImage;
  caption: string;
}

/** What a step saw, and how it went. */
export interface FineTuneStep {
  /** From 0. */
  step: number;
  steps: number;
  loss: number;
  /** Share of the tokens that were predicted right, whatever the noise. */
  accuracy: number;
  /** Before clipping. */
  gradNorm: number;
  learningRate: number;
}

export interface FineTuneOptions {
  /** 80 by default. */
  steps?: number;
  /** The highest one: it rises over the first tenth of the steps, and falls to a tenth along a cosine. 2e-4 by default. */
  learningRate?: number;
  /** Pictures a step; 4 by default. */
  batchSize?: number;
  /** Equal seeds give equal weights on one adapter; random by default. */
  seed?: number;
  /** Stops before the next step; what was learned so far stays. */
  signal?: AbortSignal;
  /** Is awaited, and may draw with the pipeline. */
  onStep?: (info: FineTuneStep) => void | Promise<void>;
}

/** How often a caption is replaced by the empty prompt, so that guidance still has something to move away from. */
const CAPTION_DROPOUT = 0.1;

/** Pictures that are encoded together. */
const ENCODE_BATCH = 8;

/**
 * Teaches a pipeline's U-Net a handful of pictures. Captions take the form of those that the model learned from, as
 * prompts do. The pictures are not mirrored: letters and directions would come out wrong.
 *
 * Besides the weights, the device holds four times their size meanwhile: gradients, AdamW's moments, and a copy that is
 * put back when training fails.
 *
 * @throws PaellaError `argument` for pictures, captions or options that cannot be used; `unsupported` for weights stored
 *   as f16; `aborted` after the signal; `non-finite` if a loss is not finite: the weights are those from before then
 */
export async function fineTune(
  pipeline: Pipeline,
  examples: readonly Example[],
  options: FineTuneOptions = {},
): Promise<void> {
  const { steps = 80, learningRate = 2e-4, batchSize = 4, seed = randomSeed() } = options;
  checkExamples(examples);
  checkOptions({ steps, learningRate, batchSize });
  const { unet } = pipeline;
  checkDtype(unet);
  await scope(async () => {
    const tokens = await encodeAll(pipeline, examples);
    const [none, ...captions] = await pipeline.conditions([
      { prompt: '', asWritten: true, usePrior: false },
      ...examples.map(({ caption }) => ({ prompt: caption, usePrior: false })),
    ]);
    const rng = new Rng(seed);
    const deal = dealer(examples.length, rng);
    const next = (): Batch => {
      const dropped = rng.uniformArray(batchSize);
      const picks = Array.from(dropped, deal);
      const cond = picks.map((pick, i) => (dropped[i] < CAPTION_DROPOUT ? none : captions[pick]));
      return { tokens: tokens.at(picks), cond };
    };
    const schedule = optim.cosineSchedule({
      warmupSteps: Math.ceil(steps / 10),
      totalSteps: steps,
      minFactor: 0.1,
    });
    await withTrainable(unet, rng, async (optimizer) => {
      for (let step = 0; step < steps; step++) {
        if (options.signal?.aborted)
          throw new PaellaError('aborted', `stopped after ${step} of ${steps} steps`);
        const lr = learningRate * schedule(step);
        optimizer.setLearningRate(lr);
        unet.train();
        const seen = await scope(() => learn(unet, optimizer, next(), rng));
        unet.eval();
        await options.onStep?.({ step, steps, ...seen, learningRate: lr });
      }
    });
  });
}

/** Gives the U-Net the weights that its model came with: what fine-tuning taught it is gone. */
export async function undoFineTuning({ model, unet }: Pipeline): Promise<void> {
  const state = await model.unet.state();
  try {
    await unet.loadStateDict(state);
  } finally {
    await state.close?.();
  }
}

interface Batch {
  tokens: Tensor;
  cond: readonly ConditionInputs[];
}

/** A step, unless its gradients are not finite. */
async function learn(
  unet: Paella,
  optimizer: optim.AdamW,
  batch: Batch,
  rng: Rng,
): Promise<Pick<FineTuneStep, 'loss' | 'accuracy' | 'gradNorm'>> {
  const { loss, accuracy } = denoisingStep(unet, batch, { rng });
  const norm = optimizerStep(optimizer);
  const seen = {
    loss: await loss.item(),
    accuracy: await accuracy.mean().item(),
    gradNorm: await norm.item(),
  };
  if (Number.isFinite(seen.loss) && Number.isFinite(seen.gradNorm)) return seen;
  throw new PaellaError(
    'non-finite',
    `training diverged: the loss is ${seen.loss}, its gradient ${seen.gradNorm}`,
    {
      fix: 'Use a lower learning rate. The weights are those from before.',
    },
  );
}

/** Runs with a U-Net that learns. It is as frozen as before afterwards; unless it was stopped, a failure teaches it nothing. */
async function withTrainable(
  unet: Paella,
  rng: Rng,
  train: (optimizer: optim.AdamW) => Promise<void>,
): Promise<void> {
  const { dropout } = unet;
  const before = noGrad(() => unet.parameters().map(({ value }) => value.mul(1)));
  const dropoutRng = dropout.rng;
  dropout.rng = rng;
  unet.requiresGrad_();
  const optimizer = new optim.AdamW(unet.namedParameters().filter(([, { isBuffer }]) => !isBuffer));
  try {
    await train(optimizer);
  } catch (error) {
    const isStopped = error instanceof PaellaError && error.code === 'aborted';
    if (!isStopped) unet.parameters().forEach((parameter, i) => (parameter.value = before[i]));
    throw error;
  } finally {
    optimizer.dispose();
    unet.eval().requiresGrad_(false);
    dropout.rng = dropoutRng;
    unet.device.trim();
  }
}

/** Deals the numbers 0 … count − 1 in random order, again and again: all come up equally often. */
function dealer(count: number, rng: Rng): () => number {
  let deck: number[] = [];
  return () => {
    if (deck.length === 0) deck = [...rng.permutation(count)];
    return deck.pop()!;
  };
}

/** The tokens of pictures, made once. */
async function encodeAll(
  pipeline: Pipeline,
  examples: readonly Example[],
): Promise<{ at: (picks: readonly number[]) => Tensor }> {
  const [width, height] = pipeline.model.imageSize;
  const [rows, columns] = pipeline.tokenGrid([width, height]);
  const all = new Uint32Array(examples.length * rows * columns);
  for (let first = 0; first < examples.length; first += ENCODE_BATCH) {
    const some = examples.slice(first, first + ENCODE_BATCH);
    using tokens = await pipeline.encode(some.map(({ image }) => coverImage(image, width, height)));
    all.set(await tokens.data(), first * rows * columns);
  }
  const area = rows * columns;
  return {
    at: (picks) => {
      const values = new Uint32Array(picks.length * area);
      picks.forEach((pick, i) => values.set(all.subarray(pick * area, (pick + 1) * area), i * area));
      return pipeline.device.tensor(values, [picks.length, rows, columns]);
    },
  };
}

function checkExamples(examples: readonly Example[]): void {
  if (examples.length === 0) {
    throw new PaellaError('argument', 'there are no pictures to learn from', {
      fix: 'Give at least one picture with its caption.',
    });
  }
  const silent = examples.flatMap(({ caption }, i) => (caption.trim() === '' ? [i + 1] : []));
  if (silent.length > 0) {
    throw new PaellaError(
      'argument',
      `pictures without a caption: ${silent.join(', ')} of ${examples.length}`,
      {
        fix: 'Say in a few words what each picture shows: it is drawn for these words afterwards.',
      },
    );
  }
}

function checkDtype(unet: Paella): void {
  if (unet.parameters().every(({ dtype }) => dtype === 'f32')) return;
  throw new PaellaError('unsupported', 'weights that are stored as f16 cannot be trained', {
    fix: "Load the pipeline with dtype 'f32'.",
  });
}

function checkOptions(options: { steps: number; learningRate: number; batchSize: number }): void {
  for (const [name, value] of Object.entries(options)) {
    const isCount = name !== 'learningRate';
    if (isCount ? Number.isInteger(value) && value >= 1 : value > 0 && Number.isFinite(value)) continue;
    const expected = isCount ? 'a whole number ≥ 1' : 'a number above 0';
    throw new PaellaError('argument', `fineTune: ${name} must be ${expected}, got ${value}`);
  }
}
