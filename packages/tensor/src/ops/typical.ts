import { type TeamForce, planTypical } from '@paella/kernels';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

export interface TypicalOptions {
  /** The probability that stays at least, in [0,1]; 0.2 by default. */
  mass?: number;
  /** The classes that stay at least; 1 by default. */
  minTokens?: number;
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: TeamForce;
}

/**
 * Typical filtering (arXiv 2202.00666): of each row, the classes stay whose surprise −log p is nearest to its mean, the
 * entropy, until their probabilities add up to `mass`; the logits of the others become −1e30. Classes that are equally
 * near stay or go together.
 *
 * @param logits `[…,classes]`
 * @returns the shape of `logits`; not differentiable
 * @throws PaellaError `argument` for a mass outside of [0,1], or minTokens that is no whole number ≥ 1
 */
export function typicalFilter(
  logits: Tensor,
  { mass = 0.2, minTokens = 1, force }: TypicalOptions = {},
): Tensor {
  checkDType('typicalFilter', 'f32', { logits });
  const classes = logits.shape[logits.rank - 1];
  checkShape(logits.rank > 0 && classes > 0, 'typicalFilter', 'expects [...,classes]', { logits });
  if (!(mass >= 0 && mass <= 1) || !Number.isInteger(minTokens) || minTokens < 1) {
    throw new PaellaError('argument', `typicalFilter: got mass ${mass} and minTokens ${minTokens}`, {
      fix: 'Use a mass in [0,1] and a whole number of tokens ≥ 1.',
    });
  }
  if (mass === 1) return logits.detach();
  const { device } = logits;
  const out = device.empty(logits.shape);
  const shape = { rows: logits.size / classes, classes };
  const plan = planTypical(shape, { mass, minTokens, force }, device.capabilities);
  if (out.size > 0) device.run(plan, [logits, out]);
  return out;
}
