import { noGrad } from '../autograd/mode.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';
import { logSoftmax } from './softmax.js';

/**
 * Entropy of `softmax(logits)` over the last dimension, −Σ p·log p: from 0, where one class is certain, to log(classes),
 * where all are equally likely. Classes that {@link typicalFilter} removed add nothing.
 *
 * @param logits f32 `[…,classes]`
 * @returns in nats, f32 `[…]`; not differentiable
 */
export function entropy(logits: Tensor): Tensor {
  checkDType('entropy', 'f32', { logits });
  const classes = logits.shape[logits.rank - 1];
  checkShape(logits.rank > 0 && classes > 0, 'entropy', 'expects [...,classes]', { logits });
  return noGrad(() =>
    scope(() => {
      const logP = logSoftmax(logits);
      return logP.exp().mul(logP).sum(-1).neg();
    }),
  );
}
