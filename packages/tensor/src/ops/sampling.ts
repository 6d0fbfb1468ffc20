import {
  type SampleVariant,
  type SamplingNoise,
  type SamplingPlan,
  canSampleLinear,
  planSampleLinear,
  planSampleLogits,
} from '@paella/kernels';
import { PaellaError } from '../errors.js';
import type { Rng } from '../random/rng.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape, weightType } from './check.js';
import { linear } from './matmul.js';
import { byRows } from './rows.js';
import { type TypicalOptions, typicalFilter } from './typical.js';

export interface MultinomialOptions {
  /** τ > 0 of softmax(logits/τ). */
  temperature?: number;
  rng: Rng;
}

export interface SampleLinearOptions {
  /** Draw from the softmax, or take the largest logit (the lowest class of equal ones), without randomness. */
  mode?: 'multinomial' | 'argmax';
  /** τ > 0 of softmax(logits/τ); of no effect on `argmax`. */
  temperature?: number;
  /** Needed to draw; one draw takes one stream. */
  rng?: Rng;
  /** `[classes]` */
  bias?: Tensor | null;
  /** Draw only from classes that are typical, see {@link typicalFilter}; from all by default. */
  typical?: TypicalOptions | null;
  /** Overrides the choice of kernel, for tests and benchmarks; `naive` stores logits. */
  force?: SampleVariant | 'naive';
  /** Rows at a time where logits are stored, for tests. */
  rowsAtATime?: number;
}

/**
 * Draws a class for every row from `softmax((h·weight + bias)/τ)`, exactly, as the argmax of logits/τ and
 * Gumbel noise. The logits are never stored: between its two kernels an eighth of a byte a logit lives. Sizes
 * that are not divisible by 4, and typical filtering, take the slower way, which does store them, for some rows at a time.
 *
 * @param h `[…,channels]`
 * @param weight `[channels,classes]`, as for {@link linear}
 * @returns u32 `[…]`
 * @throws PaellaError `argument` for a temperature that is not above 0, or without a generator to draw with
 */
export function sampleLinear(h: Tensor, weight: Tensor, options: SampleLinearOptions = {}): Tensor {
  const { mode = 'multinomial', temperature = 1, rng, bias = null } = options;
  const operands = { input: h, weight, bias };
  checkDType('sampleLinear', 'f32', { input: h, bias });
  const stored = weightType('sampleLinear', weight);
  const [channels, classes] = weight.shape;
  const fits =
    weight.rank === 2 && h.rank > 0 && h.shape[h.rank - 1] === channels && channels > 0 && classes > 0;
  checkShape(fits, 'sampleLinear', 'expects [...,channels] × [channels,classes]', operands);
  checkShape(!bias || bias.size === classes, 'sampleLinear', `expects ${classes} biases`, operands);
  const lead = h.shape.slice(0, -1);
  const noise = mode === 'argmax' ? null : noiseOf('sampleLinear', temperature, rng, lead);

  const { force, typical } = options;
  const rows = h.size / channels;
  if (typical || force === 'naive' || !canSampleLinear(channels, classes)) {
    const draw = (some: Tensor, start: number): Tensor => {
      const logits = linear(some, weight, { bias });
      return pick(typical ? typicalFilter(logits, typical) : logits, noise, { rows, start });
    };
    return scope(() => byRows(h.reshape([rows, channels]), 4 * classes, draw, options).reshape(lead));
  }
  const shape = { rows, channels, classes };
  const how = { hasBias: !!bias, weight: stored, force };
  const plan = planSampleLinear(shape, noise, how, h.device.capabilities);
  return run(plan, [h, weight, bias], lead);
}

/**
 * Draws a class for every row of stored logits, from `softmax(logits/τ)`. Equals {@link sampleLinear} on the
 * same logits and the same state of the generator, up to the rounding of the logits.
 *
 * @param logits `[…,classes]`
 * @returns u32 `[…]`
 * @throws PaellaError `argument` for a temperature that is not above 0
 */
export function multinomial(logits: Tensor, { temperature = 1, rng }: MultinomialOptions): Tensor {
  checkDType('multinomial', 'f32', { logits });
  const classes = logits.shape[logits.rank - 1];
  checkShape(logits.rank > 0 && classes > 0, 'multinomial', 'expects [...,classes]', { logits });
  return pick(logits, noiseOf('multinomial', temperature, rng, logits.shape.slice(0, -1)));
}

function noiseOf(
  op: string,
  temperature: number,
  rng: Rng | undefined,
  shape: readonly number[],
): SamplingNoise {
  if (!rng) {
    throw new PaellaError('argument', `${op}: drawing needs a generator`, {
      fix: 'Pass rng: new Rng(seed).',
    });
  }
  if (!(temperature > 0) || !Number.isFinite(Math.fround(1 / temperature))) {
    throw new PaellaError('argument', `${op}: the temperature must be above 0, got ${temperature}`, {
      fix: "For the most likely class use mode 'argmax'.",
    });
  }
  return { ...rng.nextOf(shape), scale: 1 / temperature };
}

/** @param draw of which the logits are some rows; all by default */
function pick(logits: Tensor, noise: SamplingNoise, draw?: { rows: number; start: number }): Tensor {
  const classes = logits.shape[logits.rank - 1];
  const rows = logits.size / classes;
  const { capabilities } = logits.device;
  const plan = planSampleLogits({ rows, classes }, noise, draw ?? { rows, start: 0 }, capabilities);
  return run(plan, [logits], logits.shape.slice(0, -1));
}

function run(
  { pass1, pass2, chunks }: SamplingPlan,
  operands: (Tensor | null)[],
  shape: readonly number[],
): Tensor {
  const { device } = operands[0]!;
  const out = device.empty(shape, 'u32');
  if (out.size === 0) return out;
  using best = device.empty([chunks, out.size, 2], 'u32');
  device.run(pass1, [...operands, best]);
  device.run(pass2, [best, out]);
  return out;
}
