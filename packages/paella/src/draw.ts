import { type Rng, type Tensor, ops } from '@paella/tensor';

/** The distribution that tokens are drawn from, given logits. */
interface DistributionOptions {
  /** τ > 0 of softmax(logits/τ); of no effect on `argmax`. */
  temperature: number;
  /** Only typical tokens count; all by default. */
  typical?: ops.TypicalOptions | null;
}

/** How tokens come from a distribution over them. */
export interface DrawTokensOptions extends DistributionOptions {
  /**
   * `multinomial` draws from the distribution, `argmax` takes the likeliest token, `quant` the one whose vector is
   * nearest to the expected vector.
   */
  mode: 'multinomial' | 'argmax' | 'quant';
  rng: Rng;
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
  return byToken(features, head, { temperature, typical }, (logits) =>
    ops.nearestCode(logits.softmax().matmul(codebook!), codebook!),
  );
}

/**
 * How uncertain each token is: the entropy of the distribution that {@link drawTokens} draws it from.
 *
 * @param features `[B,H,W,c_out]`
 * @param head the last layer, `[c_out,num_labels]`
 * @returns in nats, f32 `[B,H,W]`
 */
export function tokenEntropy(features: Tensor, head: Tensor, options: DistributionOptions): Tensor {
  return byToken(features, head, options, ops.entropy);
}

/** Computes something of every token's logits, divided by the temperature, for some tokens at a time. */
function byToken(
  features: Tensor,
  head: Tensor,
  { temperature, typical }: DistributionOptions,
  compute: (logits: Tensor) => Tensor,
): Tensor {
  const [channels, labels] = head.shape;
  const rows = features.reshape([features.size / channels, channels]);
  const results = ops.byRows(rows, 4 * labels, (some) => {
    const logits = ops.linear(some, head);
    return compute((typical ? ops.typicalFilter(logits, typical) : logits).mul(1 / temperature));
  });
  return results.reshape(features.shape.slice(0, -1));
}
