import { type Rng, type Tensor, ops, scope } from '@paella/tensor';

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

/**
 * How much the loss of each token counts: 1 where it was selected for replacement, `0.3 + 0.7·t` where it was
 * kept, which is the easier the less noise there is.
 *
 * @param t noise level of each entry, `[B]`
 * @param mask u32 `[B,H,W]` of {@link addNoise}
 * @param minVal what a kept token counts at t = 0
 * @returns f32 `[B,H,W]`: `1 − (1 − mask)·(1 − t)·(1 − minVal)`
 */
export function lossWeight(t: Tensor, mask: Tensor, minVal = 0.3): Tensor {
  return scope(() => {
    const [b, ...grid] = mask.shape;
    const kept = mask.to('f32').neg().add(1);
    const clean = t
      .reshape([b, ...grid.map(() => 1)])
      .neg()
      .add(1);
    return kept
      .mul(clean)
      .mul(minVal - 1)
      .add(1);
  });
}
