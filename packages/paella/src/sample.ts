import { type Rng, type Tensor, PaellaError, noGrad, ops, scope } from '@paella/tensor';
import { drawTokens, type DrawTokensOptions, tokenEntropy } from './draw.js';
import { addNoise } from './noise.js';
import { type Conditions, Predictor, type RegionCondition } from './predict.js';
import type { Paella } from './unet/paella.js';

/** A number for all steps, or its value at the first and the last step. */
export type Range = number | readonly [number, number];

export interface StepInfo {
  /** From 0. */
  step: number;
  steps: number;
  /** u32 `[B,H,W]`; valid until the next step. */
  tokens: Tensor;
  /**
   * If asked for: how uncertain each token was, the entropy in nats of the distribution that it was drawn from, f32
   * `[B,H,W]`; valid until the next step.
   */
  entropy?: Tensor;
}

export interface SampleOptions {
  /** Pictures, and their height and width in tokens. */
  shape: readonly [number, number, number];
  /** From `forEntries()`, pictures do not depend on the batch in which they are drawn. */
  rng: Rng;
  /** What to move away from: the empty prompt, or a negative one. Without it there is no guidance. */
  uncond?: Conditions;
  /** Conditions for parts of the pictures; where their weights do not add up to 1, the main condition has the rest. */
  regions?: readonly RegionCondition[];
  steps?: number;
  /** Steps after which tokens are renoised; all but the last by default. */
  renoiseSteps?: number;
  /**
   * What renoising puts in the place of tokens: the initial noise, the same in every step (by default); the tokens
   * before the step; or fresh noise.
   */
  renoise?: 'start' | 'prev' | 'rand';
  temperature?: Range;
  /** Guidance scale: logits are `uncond + cfg·(cond − uncond)`. `null` turns guidance off. */
  cfg?: Range | null;
  /** Guide only the first steps; the rest run the conditional branch alone. */
  conditionalSteps?: number;
  /** Noise levels at the start and the end. */
  tStart?: number;
  tEnd?: number;
  /** How tokens come from distributions; `multinomial` by default. */
  mode?: DrawTokensOptions['mode'];
  /** From this step on the mode is `quant`; none by default. */
  quantSteps?: number;
  /** The vector of each token, `[num_labels,c]`: what `quant` needs. */
  codebook?: Tensor;
  /**
   * Draw only from typical tokens, as the first versions of Paella did: those whose surprise is nearest to the expected
   * one (arXiv 2202.00666), with a probability of `mass` together (0.2 by default), and `minTokens` at least (1).
   */
  typical?: { mass?: number; minTokens?: number } | null;
  /** Tokens to start from, u32 `[B,H,W]` or `[1,H,W]`, instead of noise; with a mask, see there. */
  init?: Tensor;
  /**
   * Which tokens are drawn, u32 `[B,H,W]` or `[1,H,W]`: 1 where they are, 0 where those of `init` stay for good. What is
   * drawn starts from `init` noised to `tStart`, so at 1 from noise.
   */
  mask?: Tensor;
  /** The random tokens that noise is made of, u32 `[B,H,W]` or `[1,H,W]`. */
  initNoise?: Tensor;
  /** Stops between two steps. */
  signal?: AbortSignal;
  onStep?: (info: StepInfo) => void | Promise<void>;
  /** Tell `onStep` the entropy of every token, which takes the last layer once more a step. */
  entropy?: boolean;
}

/**
 * Draws image tokens for a condition (arXiv 2211.07292, section 3; the released third version).
 *
 * Each step predicts a distribution for every token, guides it, draws all tokens from it, and puts back
 * the initial noise at a share of the positions that falls to nothing.
 *
 * @param cond for all pictures, or a list with one a picture
 * @returns u32 `[B,H,W]`
 * @throws PaellaError `argument` for options out of range, `shape` for tensors that do not fit, `aborted` if the signal
 *   fires
 */
export async function sample(unet: Paella, cond: Conditions, options: SampleOptions): Promise<Tensor> {
  const { shape, rng, uncond, regions, steps = 12, renoiseSteps = steps - 1, signal, onStep } = options;
  const { conditionalSteps = steps, tStart = 1, tEnd = 0, renoise = 'start' } = options;
  const { mode = 'multinomial', quantSteps = steps, entropy } = options;
  const draw = { rng, typical: options.typical, codebook: options.codebook };
  const numLabels = unet.config.num_labels;
  checkOptions(options);
  const guidedSteps = uncond && options.cfg !== null ? Math.min(conditionalSteps, steps) : 0;
  const t = linspace([tStart, tEnd], steps + 1);
  const temperature = linspace(options.temperature ?? [0.7, 0.3], steps);
  const cfg = linspace(options.cfg ?? 8, steps);
  const modes = t.map((_, i) => (i < quantSteps ? mode : 'quant'));

  return scope(async () => {
    const predictor = noGrad(() => new Predictor(unet, { shape, cond, uncond, regions }));
    try {
      const { start, noise, keep } = canvas(unet, options);
      const head = unet.headWeight();
      const noiseAfter = (before: Tensor) => {
        return { rng, numLabels, randomTokens: { start: noise, prev: before, rand: undefined }[renoise] };
      };
      let tokens = start;
      for (let i = 0; i < steps; i++) {
        if (signal?.aborted) throw new PaellaError('aborted', `stopped after ${i} of ${steps} steps`);
        const next = step(() => {
          const features = predictor.features(tokens, t[i], i < guidedSteps ? cfg[i] : null);
          const how = { ...draw, mode: modes[i], temperature: temperature[i] };
          const drawn = drawTokens(features, head, how);
          const noised = i < renoiseSteps ? addNoise(drawn, t[i + 1], noiseAfter(tokens)).noised : drawn;
          return { tokens: keep(noised), entropy: entropy ? tokenEntropy(features, head, how) : undefined };
        });
        if (i > 0) tokens.dispose(); // the first were the noise's or the caller's
        tokens = next.tokens;
        await unet.device.synchronize();
        await onStep?.({ step: i, steps, ...next });
        next.entropy?.dispose();
      }
      return tokens;
    } finally {
      predictor.dispose();
    }
  });
}

/**
 * What the pictures are drawn on: the tokens to start from, the noise, and what puts back the tokens that are not to be
 * drawn.
 */
function canvas(
  unet: Paella,
  { shape, rng, init, mask, initNoise, tStart = 1 }: SampleOptions,
): { start: Tensor; noise: Tensor; keep: (tokens: Tensor) => Tensor } {
  const numLabels = unet.config.num_labels;
  const [batch, ...grid] = shape;
  const full = (name: string, tokens: Tensor): Tensor => {
    const [b, ...own] = tokens.shape;
    if (tokens.dtype === 'u32' && (b === batch || b === 1) && own.join() === grid.join()) {
      return b === batch ? tokens : ops.expand(tokens, shape);
    }
    throw new PaellaError('shape', `${name} must be u32 [${shape.join(',')}] or [1,${grid.join(',')}]`, {
      operands: { [name]: tokens.toString() },
    });
  };
  const noise = initNoise ? full('initNoise', initNoise) : rng.randint(unet.device, 0, numLabels, shape);
  if (!mask) return { start: init ? full('init', init) : noise, noise, keep: (tokens) => tokens };
  if (!init) {
    throw new PaellaError('argument', 'a mask needs the tokens that it keeps', { fix: 'Pass them as init.' });
  }
  const [drawn, kept] = [full('mask', mask), full('init', init)];
  const keep = (tokens: Tensor): Tensor => ops.where(drawn, tokens, kept);
  const { noised } = addNoise(kept, tStart, { rng, numLabels, randomTokens: noise });
  return { start: keep(noised), noise, keep };
}

/** One step: frees what it makes but its result, and records nothing to differentiate. */
const step = <T>(fn: () => T): T => noGrad(() => scope(fn));

/** `n` equally spaced values, ends included. */
function linspace(range: Range, n: number): number[] {
  const [from, to] = typeof range === 'number' ? [range, range] : range;
  return Array.from({ length: n }, (_, i) => (n > 1 ? from + ((to - from) * i) / (n - 1) : from));
}

function checkOptions(options: SampleOptions): void {
  const { steps = 12, temperature = 1, renoiseSteps = 0, tStart = 1, tEnd = 0 } = options;
  const { mode, quantSteps = steps, codebook } = options;
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
  if ((mode === 'quant' || quantSteps < steps) && !codebook) {
    throw new PaellaError('argument', "mode 'quant' needs the vectors of the tokens", {
      fix: 'Pass codebook: vqgan.vquantizer.codebook.weight.value.',
    });
  }
}
