import { planReplaceTokens } from '@paella/kernels';
import type { Rng } from '../random/rng.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

/**
 * Replaces every token with probability t, independently: where u ≤ t, u uniform in (0, 1], the replacement is
 * taken. With t = 0 nothing is replaced, with t = 1 everything.
 *
 * @param tokens u32 `[batch,…]`
 * @param replacement u32, the shape of `tokens`
 * @param t one probability, or f32 `[batch]`: one for each sample
 * @param rng gives one draw, a word a token
 * @returns the new tokens and, as u32, a mask: 1 where the replacement was taken, even if it equals the token
 */
export function replaceTokens(
  tokens: Tensor,
  replacement: Tensor,
  t: number | Tensor,
  rng: Rng,
): { tokens: Tensor; mask: Tensor } {
  checkDType('replaceTokens', 'u32', { tokens, replacement });
  const same = tokens.rank === replacement.rank && tokens.shape.every((d, i) => d === replacement.shape[i]);
  checkShape(same, 'replaceTokens', 'expects a replacement for every token', { tokens, replacement });
  const perSample = typeof t === 'number' ? null : t;
  if (perSample) {
    checkDType('replaceTokens', 'f32', { t: perSample });
    const fits = tokens.rank > 0 && perSample.rank === 1 && perSample.size === tokens.shape[0];
    checkShape(fits, 'replaceTokens', 'expects t for every sample', { tokens, t: perSample });
  }
  const { device } = tokens;
  const out = device.empty(tokens.shape, 'u32');
  const mask = device.empty(tokens.shape, 'u32');
  const samples = perSample ? perSample.size : 1;
  const shape = { samples, sampleSize: samples === 0 ? 0 : tokens.size / samples };
  const number = typeof t === 'number' ? t : null;
  const plan = planReplaceTokens(shape, number, rng.nextOf(tokens.shape), device.capabilities);
  device.run(plan, [tokens, replacement, perSample, out, mask]);
  return { tokens: out, mask };
}
