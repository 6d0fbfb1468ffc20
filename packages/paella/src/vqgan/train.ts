/** The VQGAN's losses, after Esser et al. (arXiv 2012.09841); the original's own training code was never released. */
import { type Tensor, type optim, grad, noGrad, scope } from '@paella/tensor';
import { optimizerStep } from '../train.js';
import type { Discriminator } from './discriminator.js';
import type { VQModel } from './vqmodel.js';

export interface VQLossWeights {
  l1: number;
  l2: number;
  codebook: number;
  commitment: number;
  /** Of the adversarial loss, on top of its adaptive weight. */
  adversarial: number;
}

/** The learner's side of a step. */
export interface VQTraining {
  vq: VQModel;
  optimizer: optim.AdamW;
  weights: VQLossWeights;
  gradClip: number;
  /** Present once the adversarial loss is on. */
  adversary?: { discriminator: Discriminator; optimizer: optim.AdamW };
}

export interface VQGradientOptions {
  weights: VQLossWeights;
  /** Present once the adversarial loss is on. It pulls as strongly as the gradients of this batch alone allow. */
  discriminator?: Discriminator | undefined;
  /** Divides the gradients by as many batches as they are added up over. */
  accumulate?: number;
}

/** What a batch taught the VQGAN. Scalars on the device, but for tokens and pictures. */
export interface VQGradients {
  loss: Tensor;
  reconstruction: Tensor;
  codebook: Tensor;
  /** Tokens of the batch, u32 `[B,h,w]`. */
  indices: Tensor;
  /** The reconstructions, `[B,H,W,3]`, without their graph: what the discriminator learns from. */
  decoded: Tensor;
  adversarial?: { generator: Tensor; weight: Tensor };
}

/** Scalars on the device, but for the tokens. */
export interface VQStep extends Omit<VQGradients, 'decoded' | 'adversarial'> {
  gradNorm: Tensor;
  adversarial?: { generator: Tensor; discriminator: Tensor; weight: Tensor };
}

/**
 * One step: reconstruct, compare, and adjust; then, if there is an adversary, teach it to tell pictures from
 * reconstructions.
 *
 * @param image `[B,H,W,3]` in [0,1]
 */
export function vqganStep(
  { vq, optimizer, weights, gradClip, adversary }: VQTraining,
  image: Tensor,
): VQStep {
  return scope(() => {
    const options = { weights, discriminator: adversary?.discriminator };
    const { decoded, adversarial, ...step } = vqganGradients(vq, image, options);
    const gradNorm = optimizerStep(optimizer, { gradClip });
    if (!adversary || !adversarial) return { ...step, gradNorm };
    const discriminator = discriminatorGradients(adversary.discriminator, { real: image, fake: decoded });
    optimizerStep(adversary.optimizer, { gradClip });
    return { ...step, gradNorm, adversarial: { ...adversarial, discriminator } };
  });
}

/**
 * Adds to the VQGAN's gradients what a batch teaches it; those of the discriminator stay as they are.
 *
 * @param image `[B,H,W,3]` in [0,1]
 */
export function vqganGradients(
  vq: VQModel,
  image: Tensor,
  { weights, discriminator, accumulate = 1 }: VQGradientOptions,
): VQGradients {
  return scope(() => {
    const { quantized, indices, codebookLoss, commitmentLoss } = vq.encode(image);
    const decoded = vq.decode(quantized);
    const error = decoded.sub(image);
    const reconstruction = error.abs().mean().mul(weights.l1).add(error.square().mean().mul(weights.l2));
    const codebook = codebookLoss.mul(weights.codebook).add(commitmentLoss.mul(weights.commitment));
    let loss = reconstruction.add(codebook);
    let adversarial: VQGradients['adversarial'];
    if (discriminator) {
      discriminator.requiresGrad_(false);
      const generator = softplus(discriminator.logits(decoded).neg()).mean();
      const weight = adaptiveWeight(vq, reconstruction, generator).mul(weights.adversarial);
      loss = loss.add(generator.mul(weight));
      adversarial = { generator, weight };
    }
    loss.mul(1 / accumulate).backward();
    discriminator?.requiresGrad_(true);
    const step = { loss, reconstruction, codebook, indices, decoded: decoded.detach() };
    return { ...step, ...(adversarial && { adversarial }) };
  });
}

/**
 * Adds to the discriminator's gradients what tells pictures from reconstructions.
 *
 * @param pictures both `[B,H,W,3]` in [0,1]
 * @param options.accumulate divides the gradients by as many batches as they are added up over
 * @returns the loss, a scalar
 */
export function discriminatorGradients(
  discriminator: Discriminator,
  { real, fake }: { real: Tensor; fake: Tensor },
  { accumulate = 1 } = {},
): Tensor {
  return scope(() => {
    const onReal = softplus(discriminator.logits(real).neg()).mean();
    const onFake = softplus(discriminator.logits(fake)).mean();
    const loss = onReal.add(onFake).mul(0.5);
    loss.mul(1 / accumulate).backward();
    return loss;
  });
}

/**
 * How strongly the adversarial loss may pull: as strongly at the last layer as the reconstruction does
 * (arXiv 2012.09841, eq. 7).
 */
function adaptiveWeight(vq: VQModel, reconstruction: Tensor, generator: Tensor): Tensor {
  const last = vq.out_block.get(0).weight.value;
  const norm = (of: Tensor): Tensor => grad(of, [last], { retainGraph: true })[0].square().sum().sqrt();
  return noGrad(() => norm(reconstruction).div(norm(generator).add(1e-6)).clamp(0, 1e4));
}

/** `log(1 + eˣ)`, which is binary cross-entropy on logits. */
const softplus = (x: Tensor): Tensor => x.relu().add(x.abs().neg().exp().add(1).log());

/**
 * What the quantiser sees of pictures, one latent a row: to start a codebook from, or to revive dead codes with.
 *
 * @returns `[B·h·w, c_latent]`
 */
export function latentsOf(vq: VQModel, image: Tensor): Tensor {
  return noGrad(() => scope(() => vq.latents(image).reshape([-1, vq.config.c_latent])));
}

/** Distances of pictures to their reconstructions are measured without gradients. */
export function reconstruct(vq: VQModel, image: Tensor): { decoded: Tensor; indices: Tensor } {
  return noGrad(() =>
    scope(() => {
      const indices = vq.encodeIndices(image);
      return { decoded: vq.decodeIndices(indices).clamp(0, 1), indices };
    }),
  );
}

/** How evenly codes are used: the share of codes used at all, and the perplexity `exp(−Σ p log p)`. */
export function codeUsage(counts: ArrayLike<number>): { used: number; perplexity: number } {
  const values = Array.from(counts);
  const total = values.reduce((sum, count) => sum + count, 0) || 1;
  const entropy = values.reduce((sum, n) => (n > 0 ? sum - (n / total) * Math.log(n / total) : sum), 0);
  return { used: values.filter((n) => n > 0).length / values.length, perplexity: Math.exp(entropy) };
}
