import { type Rng, type Tensor, PaellaError, noGrad, ops, scope } from '@paella/tensor';
import { addNoise } from './noise.js';
import type { ConditionInputs } from './unet/condition.js';
import type { Paella } from './unet/paella.js';

/** A number for all steps, or its value at the first and the last step. */
export type Range = number | readonly [number, number];

export interface StepInfo {
  /** From 0. */
  step: number;
  steps: number;
  /** u32 `[B,H,W]`; valid until the next step. */
  tokens: Tensor;
}

export interface SampleOptions {
  /** Pictures, and their height and width in tokens. */
  shape: readonly [number, number, number];
  rng: Rng;
  /** What to move away from: the empty prompt, or a negative one. Without it there is no guidance. */
  uncond?: ConditionInputs;
  steps?: number;
  /** Steps after which tokens are renoised; all but the last by default. */
  renoiseSteps?: number;
  temperature?: Range;
  /** Guidance scale: logits are `uncond + cfg·(cond − uncond)`. `null` turns guidance off. */
  cfg?: Range | null;
  /** Guide only the first steps; the rest run the conditional branch alone. */
  conditionalSteps?: number;
  /** Noise levels at the start and the end. */
  tStart?: number;
  tEnd?: number;
  mode?: 'multinomial' | 'argmax';
  /** Tokens to start from, u32 `[B,H,W]`, instead of noise. */
  init?: Tensor;
  /** The random tokens that noise is made of; drawn once, and the same in every step. */
  initNoise?: Tensor;
  /** Stops between two steps. */
  signal?: AbortSignal;
  onStep?: (info: StepInfo) => void | Promise<void>;
}

/**
 * Draws image tokens for a condition (arXiv 2211.07292, section 3; the released third version).
 *
 * Each step predicts a distribution for every token, guides it, draws all tokens from it, and puts back
 * the initial noise at a share of the positions that falls to nothing.
 *
 * @returns u32 `[B,H,W]`
 * @throws PaellaError `argument` for options out of range, `aborted` if the signal fires
 */
export async function sample(unet: Paella, cond: ConditionInputs, options: SampleOptions): Promise<Tensor> {
  const { shape, rng, uncond, steps = 12, renoiseSteps = steps - 1, mode = 'multinomial' } = options;
  const { conditionalSteps = steps, tStart = 1, tEnd = 0, signal, onStep } = options;
  checkOptions(options);
  const guidedSteps = uncond && options.cfg !== null ? Math.min(conditionalSteps, steps) : 0;
  const t = linspace([tStart, tEnd], steps + 1);
  const temperature = linspace(options.temperature ?? [0.7, 0.3], steps);
  const cfg = linspace(options.cfg ?? 8, steps);

  return scope(async () => {
    const both = guidedSteps > 0 ? noGrad(() => unet.prepare([cond, uncond!])) : null;
    const alone = guidedSteps < steps ? noGrad(() => unet.prepare([cond])) : null;
    try {
      const noise = options.initNoise ?? rng.randint(unet.device, 0, unet.config.num_labels, shape);
      const renoise = { rng, numLabels: unet.config.num_labels, randomTokens: noise };
      const head = unet.headWeight();
      let tokens = options.init ?? noise;
      for (let i = 0; i < steps; i++) {
        if (signal?.aborted) throw new PaellaError('aborted', `stopped after ${i} of ${steps} steps`);
        const next = step(() => {
          const features =
            i < guidedSteps
              ? guide(unet.features(ops.cat([tokens, tokens], 0), t[i], both!), cfg[i])
              : unet.features(tokens, t[i], alone!);
          const drawn = ops.sampleLinear(features, head, { temperature: temperature[i], rng, mode });
          return i < renoiseSteps ? addNoise(drawn, t[i + 1], renoise).noised : drawn;
        });
        if (i > 0) tokens.dispose(); // the first were the noise's or the caller's
        tokens = next;
        await unet.device.synchronize();
        await onStep?.({ step: i, steps, tokens });
      }
      return tokens;
    } finally {
      both?.dispose();
      alone?.dispose();
    }
  });
}

/** One step: frees what it makes but its result, and records nothing to differentiate. */
const step = (fn: () => Tensor): Tensor => noGrad(() => scope(fn));

/**
 * Classifier-free guidance of the features `[2B,…]` of the conditional and the unconditional branch. What
 * follows is linear and without bias, so this equals guiding the logits.
 */
function guide(features: Tensor, cfg: number): Tensor {
  const half = features.shape[0] / 2;
  const uncond = features.slice(0, half);
  return uncond.add(features.slice(0, 0, half).sub(uncond).mul(cfg));
}

/** `n` equally spaced values, ends included. */
function linspace(range: Range, n: number): number[] {
  const [from, to] = typeof range === 'number' ? [range, range] : range;
  return Array.from({ length: n }, (_, i) => (n > 1 ? from + ((to - from) * i) / (n - 1) : from));
}

function checkOptions({
  steps = 12,
  temperature = 1,
  renoiseSteps = 0,
  tStart = 1,
  tEnd = 0,
}: SampleOptions): void {
  const refuse = (message: string): never => {
    throw new PaellaError('argument', message);
  };
  if (!Number.isInteger(steps) || steps < 1) refuse(`steps must be a whole number ≥ 1, got ${steps}`);
  if (renoiseSteps < 0) refuse(`renoiseSteps must be ≥ 0, got ${renoiseSteps}`);
  if (![temperature].flat().every((value) => value > 0)) {
    refuse(`temperature must be above 0, got ${String(temperature)}; use mode 'argmax' for no randomness`);
  }
  if (![tStart, tEnd].every((t) => t >= 0 && t <= 1))
    refuse(`tStart and tEnd must be in [0,1], got ${tStart}, ${tEnd}`);
}
