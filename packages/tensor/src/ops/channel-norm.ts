import { type SampleShape, chunksOf, planBatchNorm, planMoments, planMomentsMerge } from '@paella/kernels';
import { record } from '../autograd/graph.js';
import { noGrad } from '../autograd/mode.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape, samplesOf } from './check.js';
import { cat } from './layout.js';
import type { Forced } from './norm.js';
import { channelDots, mix, modulate } from './response-norm.js';

export interface BatchNormOptions extends Forced {
  /** Running statistics, of C elements each. */
  mean: Tensor;
  variance: Tensor;
  weight?: Tensor | null;
  bias?: Tensor | null;
  eps?: number;
}

/**
 * Batch norm with given statistics, over the last dimension:
 * `(x − mean) / sqrt(variance + eps) · weight + bias`.
 *
 * @param x `[…,C]`
 * @returns the shape of `x`
 */
export function batchNorm(x: Tensor, options: BatchNormOptions): Tensor {
  const { mean, variance, weight = null, bias = null, eps = 1e-5, force } = options;
  const operands = { input: x, mean, variance, weight, bias };
  checkDType('batchNorm', 'f32', operands);
  const channels = x.shape[x.rank - 1];
  const fits = [mean, variance, weight, bias].every((tensor) => !tensor || tensor.size === channels);
  checkShape(fits, 'batchNorm', `expects statistics, weight and bias of ${channels} elements`, operands);
  const out = x.device.empty(x.shape);
  const shape = { samples: 1, positions: x.size / channels, channels };
  const plan = planBatchNorm(
    shape,
    { eps, weight: !!weight, bias: !!bias, perSample: false, force },
    x.device.capabilities,
  );
  x.device.run(plan, [x, mean, variance, weight, bias, out]);
  const saved = [x, mean, variance, ...(weight ? [weight] : [])];
  return record('batchNorm', out, [x, weight, bias], saved, (grad, tensors, needs) => {
    const [savedX, savedMean, savedVariance, savedWeight] = tensors;
    const rows = grad.reshape([-1, channels]);
    const factor = savedVariance.add(eps).sqrt();
    const scale = savedWeight ? savedWeight.div(factor) : factor.pow(-1);
    const normalised = needs[1]
      ? batchNorm(savedX, { mean: savedMean, variance: savedVariance, eps }).reshape([-1, channels])
      : null;
    return [
      needs[0] ? rows.mul(scale).reshape(x.shape) : null,
      normalised && rows.mul(normalised).sum(0).reshape(weight!.shape),
      needs[2] ? rows.sum(0).reshape(bias!.shape) : null,
    ];
  });
}

/**
 * Batch norm as in training: with the mean and the biased variance of the batch itself, over all dimensions but the
 * last.
 *
 * @param x `[…,C]`
 * @returns the result, and the statistics of C elements each, which need no gradient
 */
export function batchNormTraining(
  x: Tensor,
  { weight = null, bias = null, eps = 1e-5 }: Pick<BatchNormOptions, 'weight' | 'bias' | 'eps'> = {},
): { out: Tensor; mean: Tensor; variance: Tensor } {
  checkDType('batchNorm', 'f32', { input: x, weight, bias });
  const channels = x.shape[x.rank - 1];
  const shape = { samples: 1, positions: x.size / channels, channels };
  const { mean, variance } = noGrad(() => {
    const both = moments(x, shape, {});
    return { mean: both.mean.reshape([channels]), variance: both.variance.reshape([channels]) };
  });
  const out = noGrad(() => batchNorm(x, { mean, variance, weight, bias, eps }));
  const saved = [x, mean, variance, ...(weight ? [weight] : [])];
  record('batchNorm', out, [x, weight, bias], saved, (grad, tensors) => {
    const [savedX, savedMean, savedVariance, savedWeight] = tensors;
    const options = { mean: savedMean, variance: savedVariance, eps };
    const normalised = batchNorm(savedX, options).reshape([1, -1, channels]);
    const rows = grad.reshape([1, -1, channels]);
    const factor = savedVariance.add(eps).sqrt();
    const scale = savedWeight ? savedWeight.div(factor) : factor.pow(-1);
    const { dx, along, plain } = throughStatistics(rows, normalised, scale.reshape([1, channels]));
    return [dx.reshape(x.shape), weight && along.reshape(weight.shape), bias && plain.reshape(bias.shape)];
  });
  return { out, mean, variance };
}

/**
 * Back through a normalisation by the values' own mean and variance: `scale · (dy − mean(dy) − x̂·mean(dy·x̂))`. Three
 * passes over the values: both sums, what is proportional to dy and x̂, and the constants.
 *
 * @param grad, normalised `[samples,positions,channels]`
 * @param scale `[samples,channels]`
 * @returns also the sums over positions of dy·x̂ and of dy
 */
function throughStatistics(
  grad: Tensor,
  normalised: Tensor,
  scale: Tensor,
): { dx: Tensor; along: Tensor; plain: Tensor } {
  const [, positions, channels] = grad.shape;
  const sums = channelDots(normalised, grad).sum(1);
  const along = sums.slice(1, 0, channels);
  const plain = sums.slice(1, channels, 2 * channels);
  const share = scale.div(-positions);
  const sloped = mix(grad, normalised, cat([scale, share.mul(along)], 1));
  const constants = cat([grad.device.zeros(scale.shape), share.mul(plain)], 1);
  return { dx: modulate(sloped, constants), along, plain };
}

/**
 * Instance norm without weights (arXiv 1607.08022): every channel of every sample is normalised over its
 * positions, with the biased variance.
 *
 * @param x `[B,…,C]`, usually NHWC
 * @returns the shape of `x`
 */
export function instanceNorm(x: Tensor, { eps = 1e-5, force }: Forced & { eps?: number } = {}): Tensor {
  checkDType('instanceNorm', 'f32', { input: x });
  const shape = samplesOf('instanceNorm', x);
  const { mean, variance } = moments(x, shape, { force });
  const out = x.device.empty(x.shape);
  const plan = planBatchNorm(
    shape,
    { eps, weight: false, bias: false, perSample: true, force },
    x.device.capabilities,
  );
  x.device.run(plan, [x, mean, variance, null, null, out]);
  record('instanceNorm', out, [x], [variance, out], (grad, [savedVariance, normalised]) => {
    const view = [shape.samples, shape.positions, shape.channels];
    const scale = savedVariance.add(eps).pow(-0.5).reshape([shape.samples, shape.channels]);
    const { dx } = throughStatistics(grad.reshape(view), normalised.reshape(view), scale);
    return [dx.reshape(x.shape)];
  });
  mean.dispose();
  variance.dispose();
  return out;
}

/** Mean and biased variance of each channel of each sample, `[B,C]` both. */
function moments(x: Tensor, shape: SampleShape, { force }: Forced): { mean: Tensor; variance: Tensor } {
  const { device } = x;
  const { samples, positions, channels } = shape;
  const chunks = chunksOf({ outer: samples, length: positions, inner: channels }, device.capabilities);
  const partial = [samples, chunks.count, channels];
  const means = device.empty(partial);
  const variances = device.empty(partial);
  device.run(planMoments(shape, chunks, { force }, device.capabilities), [x, means, variances]);
  if (chunks.count === 1) return { mean: means, variance: variances };
  const mean = device.empty([samples, channels]);
  const variance = device.empty([samples, channels]);
  const merge = planMomentsMerge(shape, chunks, { force }, device.capabilities);
  device.run(merge, [means, variances, mean, variance]);
  means.dispose();
  variances.dispose();
  return { mean, variance };
}
