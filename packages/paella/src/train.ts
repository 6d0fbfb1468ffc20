import { type Rng, type Tensor, type optim, scope } from '@paella/tensor';
import { type DenoisingBatch, type DenoisingOptions, denoisingTerms } from './loss.js';
import { addNoise } from './noise.js';
import type { Paella } from './unet/paella.js';

export interface TrainOptions extends DenoisingOptions {
  /**
   * Draws noise levels and noise. By entries (`rng.forEntries(first)`, the same for `unet.dropout.rng`) a picture has the
   * same draws in whatever batch it is, so that the mean of the gradients of a batch's parts is that of the batch.
   */
  rng: Rng;
  /** The smallest noise level. */
  minT?: number;
  /** Divides the gradients by as many batches as they are added up over. */
  accumulate?: number;
  /** Multiplies the loss that is differentiated; see optim.GradScaler. */
  lossScale?: number;
}

/** What a step saw, on the device. */
export interface DenoisingStep {
  /** A scalar. */
  loss: Tensor;
  /** Noise level, cross-entropy and share of right tokens of each picture, `[B]` each. */
  t: Tensor;
  crossEntropy: Tensor;
  accuracy: Tensor;
}

/**
 * Adds to the gradients what one batch teaches (arXiv 2211.07292, section 3): replace a random share of the tokens by
 * random ones, and predict the originals.
 *
 * @param tokens of pictures, u32 `[B,H,W]`
 */
export function denoisingStep(
  unet: Paella,
  { tokens, cond }: { tokens: Tensor; cond: DenoisingBatch['cond'] },
  { rng, minT = 0.001, accumulate = 1, lossScale = 1, ...options }: TrainOptions,
): DenoisingStep {
  return scope(() => {
    const t = rng
      .uniform(unet.device, [tokens.shape[0]])
      .neg()
      .add(1 + minT)
      .clamp(minT, 1);
    const { noised, mask } = addNoise(tokens, t, { rng, numLabels: unet.config.num_labels });
    const { loss, rows, correct } = denoisingTerms(
      unet,
      { noised, target: tokens, mask, r: t, cond },
      options,
    );
    loss.mul(lossScale / accumulate).backward();
    return { loss: loss.detach(), t, crossEntropy: rows.mean([1, 2]), accuracy: correct.mean([1, 2]) };
  });
}

/**
 * Takes the step that gradients point to, no further than `gradClip` allows, and none if they are not finite.
 *
 * @returns the norm of the gradients, a scalar
 */
export function optimizerStep(optimizer: optim.AdamW, { gradClip = 1 } = {}): Tensor {
  const norm = optimizer.clipGradNorm(gradClip);
  optimizer.step({ unlessNonFinite: norm });
  optimizer.zeroGrad();
  return norm;
}
