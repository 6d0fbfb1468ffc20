import { PaellaError, Tensor, ops, scope } from '@paella/tensor';
import { lossWeight } from './noise.js';
import type { ConditionInputs } from './unet/condition.js';
import type { Paella } from './unet/paella.js';

/** What the U-Net is asked, and what it should answer. */
export interface DenoisingBatch {
  /** Tokens after {@link addNoise}, u32 `[B,H,W]`. */
  noised: Tensor;
  /** The tokens before, u32 `[B,H,W]`. */
  target: Tensor;
  /** 1 where a token was selected for replacement, u32 `[B,H,W]`. */
  mask: Tensor;
  /** Noise level: one for all, or `[B]`. */
  r: number | ArrayLike<number> | Tensor;
  /** For all pictures together, or several that are stacked along the batch. */
  cond: ConditionInputs | readonly ConditionInputs[];
}

export interface DenoisingOptions {
  /** From 0 to 1; 0.1 by default. */
  labelSmoothing?: number;
  /** What a kept token counts where there is no noise, from 0 to 1; 0.3 by default. See {@link lossWeight}. */
  minWeight?: number;
}

/** A loss and what it is made of. */
export interface DenoisingTerms {
  /** A scalar to differentiate. */
  loss: Tensor;
  /** Cross-entropy of every token, unweighted, f32 `[B,H,W]`; not differentiable. */
  rows: Tensor;
  /** 1 where the original token is the most likely one, f32 `[B,H,W]`. */
  correct: Tensor;
}

/**
 * Paella's training loss (arXiv 2211.07292, and the released trainer): cross-entropy between the predicted and the
 * original tokens, weighted by {@link lossWeight}, averaged over each picture's weights and then over the batch.
 *
 * @returns a scalar
 * @throws PaellaError `shape` if the operands do not belong together, `argument` if an option is outside of [0,1]
 */
export function denoisingLoss(unet: Paella, batch: DenoisingBatch, options?: DenoisingOptions): Tensor {
  return scope(() => denoisingTerms(unet, batch, options).loss);
}

/** {@link denoisingLoss}, and what metrics are made of. */
export function denoisingTerms(
  unet: Paella,
  { noised, target, mask, r, cond }: DenoisingBatch,
  { labelSmoothing = 0.1, minWeight = 0.3 }: DenoisingOptions = {},
): DenoisingTerms {
  if (!(minWeight >= 0 && minWeight <= 1)) {
    throw new PaellaError('argument', `denoisingLoss: minWeight must be in [0,1], got ${minWeight}`);
  }
  const [batch] = noised.shape;
  for (const [name, tensor] of Object.entries({ target, mask })) {
    if (tensor.shape.join() === noised.shape.join()) continue;
    throw new PaellaError('shape', `denoisingLoss: ${name} must have the shape of noised`, {
      operands: { noised: noised.toString(), [name]: tensor.toString() },
    });
  }
  return scope(() => {
    const given = typeof r === 'number' ? new Array<number>(batch).fill(r) : r;
    const levels = given instanceof Tensor ? given : unet.device.tensor(Float32Array.from(given));
    const features = unet.features(noised, levels, cond);
    const weight = lossWeight(levels, mask, minWeight);
    // Where nothing counts (no noise, and a minWeight of 0), the loss is 0 rather than no number.
    const total = weight.sum([1, 2], { keepdim: true }).add(1e-20);
    const rowWeights = weight.div(total).div(batch);
    return ops.linearCrossEntropy(features, unet.headWeight(), target, { rowWeights, labelSmoothing });
  });
}
