import { type Rng, type Tensor, PaellaError, noGrad, ops, scope } from '@paella/tensor';
import { guide } from '../guidance.js';
import type { PriorModel } from './prior-model.js';

/** Keeps the schedule's slope finite where there is no noise. */
const OFFSET = 0.008;

/**
 * The share of the signal's variance that is left at noise level t: the cosine schedule (arXiv 2102.09672, equation 17)
 * `cos²((t + s)/(1 + s)·π/2) / cos²(s/(1 + s)·π/2)` with s = 0.008, kept within [0.0001, 0.9999].
 *
 * @param t from 0 (clean) to 1 (all noise)
 */
export function alphaCumprod(t: number): number {
  const wave = (at: number): number => Math.cos(((at + OFFSET) / (1 + OFFSET)) * (Math.PI / 2)) ** 2;
  return Math.min(0.9999, Math.max(0.0001, wave(t) / wave(0)));
}

/** `√ᾱ·x + √(1 − ᾱ)·noise`: vectors `[B,…]` at noise level t, from 0 to 1. */
export function diffuse(x: Tensor, t: number, noise: Tensor): Tensor {
  const alpha = alphaCumprod(t);
  return x.mul(Math.sqrt(alpha)).add(noise.mul(Math.sqrt(1 - alpha)));
}

/** How a sampler goes from one noise level to the next. */
export type PriorSampler = 'ddpm' | 'ddim';

/**
 * What a step multiplies with: `x' = x·state + predicted·noise + fresh·N(0,1)`.
 *
 * DDPM (arXiv 2006.11239, algorithm 2), with `α = ᾱ(t)/ᾱ(previous)`, draws from the posterior and nothing at the last
 * step. DDIM (arXiv 2010.02502, equation 12 with σ = 0) draws nothing at all.
 *
 * @param t noise level before the step
 * @param previous noise level after it
 */
export function stepFactors(
  sampler: PriorSampler,
  t: number,
  previous: number,
): { state: number; predicted: number; fresh: number } {
  const [now, then] = [alphaCumprod(t), alphaCumprod(previous)];
  if (sampler === 'ddim') {
    const state = Math.sqrt(then / now);
    return { state, predicted: Math.sqrt(1 - then) - state * Math.sqrt(1 - now), fresh: 0 };
  }
  const alpha = now / then;
  const state = 1 / Math.sqrt(alpha);
  const variance = ((1 - alpha) * (1 - then)) / (1 - now);
  return {
    state,
    predicted: (-state * (1 - alpha)) / Math.sqrt(1 - now),
    fresh: previous === 0 ? 0 : Math.sqrt(variance),
  };
}

export interface SamplePriorOptions {
  rng: Rng;
  timesteps?: number;
  /** Guidance scale: `uncond + cfg·(cond − uncond)`. `null` turns guidance off. */
  cfg?: number | null;
  sampler?: PriorSampler;
  /** What to move away from, `[B,clip_r]`: zeros by default, which the prior has learned for texts left out. */
  uncond?: Tensor;
  /** Start from this instead of noise, `[B,clip_r]`. */
  init?: Tensor;
  /** Stops between two steps. */
  signal?: AbortSignal;
  onStep?: (info: { step: number; steps: number }) => void | Promise<void>;
}

/**
 * Draws CLIP image vectors for text vectors: `timesteps` steps from noise to none, each predicting the noise and taking
 * part of it away. The release takes 60 steps of DDPM with a guidance of 3.
 *
 * @param clipText CLIP's vectors of the texts, not normalised, `[B,clip_r]`
 * @returns `[B,clip_r]`, not normalised: Paella's `clipImage`
 * @throws PaellaError `argument` for options out of range, `aborted` if the signal fires
 */
export async function samplePrior(
  prior: PriorModel,
  clipText: Tensor,
  options: SamplePriorOptions,
): Promise<Tensor> {
  const { rng, timesteps = 60, cfg = 3, sampler = 'ddpm', uncond, init, signal, onStep } = options;
  if (!Number.isInteger(timesteps) || timesteps < 1) {
    throw new PaellaError('argument', `timesteps must be a whole number ≥ 1, got ${timesteps}`);
  }
  const { device } = prior;
  const { shape } = clipText;
  return scope(async () => {
    const text = cfg === null ? clipText : ops.cat([clipText, uncond ?? device.zeros(shape)], 0);
    let x = init ?? rng.normal(device, shape);
    for (let i = 0; i < timesteps; i++) {
      if (signal?.aborted) throw new PaellaError('aborted', `stopped after ${i} of ${timesteps} steps`);
      // Of timesteps + 2 equally spaced levels from 1 to 0, upstream skips the first.
      const [t, previous] = [i + 1, i + 2].map((n) => 1 - n / (timesteps + 1));
      const next = step(() => {
        const batch = cfg === null ? x : ops.cat([x, x], 0);
        const both = prior.forward(batch, new Array<number>(batch.shape[0]).fill(t), text);
        const [count] = shape;
        const noise = cfg === null ? both : guide(both.slice(0, 0, count), both.slice(0, count), cfg);
        const { state, predicted, fresh } = stepFactors(sampler, t, previous);
        const moved = x.mul(state).add(noise.mul(predicted));
        return fresh === 0 ? moved : moved.add(rng.normal(device, shape, { std: fresh }));
      });
      if (i > 0 || !init) x.dispose();
      x = next;
      await device.synchronize();
      await onStep?.({ step: i, steps: timesteps });
    }
    return x;
  });
}

/** One step: frees what it makes but its result, and records nothing to differentiate. */
const step = (fn: () => Tensor): Tensor => noGrad(() => scope(fn));
