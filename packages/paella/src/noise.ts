import { type Rng, type Tensor, ops } from '@paella/tensor';

/**
 * Replaces a random share of the tokens by random ones.
 *
 * @param tokens u32 `[B,H,W]`
 * @param t the share, from 0 to 1; one number, or one an entry
 * @param options.randomTokens what replaces them; drawn uniformly from `numLabels` by default
 * @returns the noised tokens, and a mask that is 1 where a token was selected (its replacement may by
 *   chance be the same token)
 */
export function addNoise(
  tokens: Tensor,
  t: number | Tensor,
  { rng, numLabels, randomTokens }: { rng: Rng; numLabels: number; randomTokens?: Tensor },
): { noised: Tensor; mask: Tensor } {
  const replacement = randomTokens ?? rng.randint(tokens.device, 0, numLabels, tokens.shape);
  const { tokens: noised, mask } = ops.replaceTokens(tokens, replacement, t, rng);
  return { noised, mask };
}
