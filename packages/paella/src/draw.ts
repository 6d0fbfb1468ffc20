import { type Rng, type Tensor, ops } from '@paella/tensor';

/** How tokens come from a distribution over them. */
export interface DrawTokensOptions {
  /**
   * `multinomial` draws from the distribution, `argmax` takes the likeliest token, `quant` the one whose vector is
   * nearest to the expected vector.
   */
  mode: 'multinomial' | 'argmax' | 'quant';
  /** τ > 0 of softmax(logits/τ); of no effect on `argmax`. */
  temperature: number;
  rng: Rng;
  /** Only typical tokens count; all by default. */
  typical?: ops.TypicalOptions | null;
  /** The vector of each token, `[num_labels,c]`; `quant` needs it. */
  codebook?: Tensor;
}

/**
 * Draws tokens from what the U-Net's last layer makes of its input.
 *
 * @param features `[B,H,W,c_out]`
 * @param head the last layer, `[c_out,num_labels]`
 * @returns u32 `[B,H,W]`
 * @throws PaellaError `shape` for a codebook of other tokens
 */
export function drawTokens(
  features: Tensor,
  head: Tensor,
  { mode, temperature, rng, typical, codebook }: DrawTokensOptions,
): Tensor {
  if (mode !== 'quant') return ops.sampleLinear(features, head, { mode, temperature, rng, typical });
  const [channels, labels] = head.shape;
  const rows = features.reshape([features.size / channels, channels]);
  const nearest = ops.byRows(rows, 4 * labels, (some) => {
    const logits = ops.linear(some, head);
    const counted = typical ? ops.typicalFilter(logits, typical) : logits;
    const expected = counted
      .mul(1 / temperature)
      .softmax()
      .matmul(codebook!);
    return ops.nearestCode(expected, codebook!);
  });
  return nearest.reshape(features.shape.slice(0, -1));
}
