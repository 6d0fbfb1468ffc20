import { type CrossEntropyPlanOptions, planCrossEntropy } from '@paella/kernels';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

/**
 * Cross-entropy of every position, as PyTorch's with `reduction='none'`:
 * `(1 − s)·(−log p[target]) + s·mean(−log p)` with p the softmax over the last dimension.
 *
 * @param logits `[…,classes]`
 * @param target u32 `[…]`; a class past the end counts as the last one
 * @param options.labelSmoothing s, from 0 to 1
 * @returns f32 `[…]`
 */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  { labelSmoothing = 0, force }: { labelSmoothing?: number; force?: CrossEntropyPlanOptions['force'] } = {},
): Tensor {
  const operands = { logits, target };
  checkDType('crossEntropy', 'f32', { logits });
  checkDType('crossEntropy', 'u32', { target });
  const classes = logits.shape[logits.rank - 1];
  const fits =
    logits.rank === target.rank + 1 && target.shape.every((length, i) => length === logits.shape[i]);
  checkShape(
    fits && classes > 0,
    'crossEntropy',
    'expects logits [...,classes] and a target [...]',
    operands,
  );
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new PaellaError('argument', `crossEntropy: labelSmoothing must be in [0,1], got ${labelSmoothing}`);
  }
  const { device } = logits;
  const out = device.empty(target.shape);
  const plan = planCrossEntropy(
    target.size,
    classes,
    { smoothing: labelSmoothing, force },
    device.capabilities,
  );
  if (target.size > 0) device.run(plan, [logits, logits, target, out]);
  return out;
}
