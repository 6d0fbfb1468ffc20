import {
  type NormPlanOptions,
  type SampleShape,
  chunksOf,
  planBatchNorm,
  planModulate,
  planMoments,
  planMomentsMerge,
  planResponseScale,
  planRowNorm,
  planSquareSums,
} from '@paella/kernels';
import { sizeOf } from '../dtype.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape } from './check.js';

interface Forced {
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: NormPlanOptions['force'];
}

export interface LayerNormOptions extends Forced {
  /** One a channel, or one number for all channels. */
  weight?: Tensor | null;
  bias?: Tensor | null;
  eps?: number;
}

/**
 * Layer norm over the last dimension (arXiv 1607.06450): `(x − mean) / sqrt(variance + eps) · weight + bias`
 * with the biased variance, computed from differences to the mean.
 *
 * @param x `[…,C]`
 * @param options.weight, options.bias of C elements, or of one that serves all channels
 * @returns the shape of `x`
 */
export function layerNorm(x: Tensor, { weight, bias, eps = 1e-5, force }: LayerNormOptions = {}): Tensor {
  return rowNorm('layerNorm', x, weight ?? null, bias ?? null, { center: true, eps, force });
}

/**
 * RMS norm over the last dimension (arXiv 1910.07467): `x / sqrt(mean(x²) + eps) · weight`.
 *
 * @param x `[…,C]`
 * @param weight of C elements, or of one
 * @returns the shape of `x`
 */
export function rmsNorm(x: Tensor, weight: Tensor | null, eps = 1e-6, { force }: Forced = {}): Tensor {
  return rowNorm('rmsNorm', x, weight, null, { center: false, eps, force });
}

function rowNorm(
  op: string,
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  options: Forced & { center: boolean; eps: number },
): Tensor {
  const operands = { input: x, weight, bias };
  checkDType(op, 'f32', operands);
  checkShape(x.rank > 0, op, 'expects [...,C]', operands);
  const channels = x.shape[x.rank - 1];
  const fits = (tensor: Tensor | null) => !tensor || tensor.size === channels || tensor.size === 1;
  checkShape(
    fits(weight) && fits(bias),
    op,
    `expects weight and bias of ${channels} elements, or of 1`,
    operands,
  );
  const out = x.device.empty(x.shape);
  if (x.size === 0) return out;
  const counts = { weights: weight?.size ?? 0, biases: bias?.size ?? 0 };
  const plan = planRowNorm(x.size / channels, channels, { ...options, ...counts }, x.device.capabilities);
  x.device.run(plan, [x, weight, bias, out]);
  return out;
}

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
  return out;
}

/** The dimensions between the first and the last are positions. */
function samplesOf(op: string, x: Tensor): SampleShape {
  checkShape(x.rank >= 2 && x.size > 0, op, 'expects [B,...,C] with at least one element', { input: x });
  return { samples: x.shape[0], positions: sizeOf(x.shape.slice(1, -1)), channels: x.shape[x.rank - 1] };
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

/**
 * Global response norm (ConvNeXt V2, arXiv 2301.00808): with `g_c = sqrt(Σ x²)` over the positions of a sample
 * and `n_c = g_c / (mean_c g + eps)`, `gamma · (x · n) + beta + x`. Three dispatches: sums of squares, the
 * factor of each channel, and {@link modulate}.
 *
 * @param x `[B,H,W,C]` (any number of position dimensions)
 * @param gamma, beta any shape of C elements
 * @returns the shape of `x`
 */
export function globalResponseNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  eps = 1e-6,
  { force }: Forced = {},
): Tensor {
  const operands = { input: x, gamma, beta };
  checkDType('globalResponseNorm', 'f32', operands);
  const { samples, positions, channels } = samplesOf('globalResponseNorm', x);
  const fits = gamma.size === channels && beta.size === channels;
  checkShape(fits, 'globalResponseNorm', `expects gamma and beta of ${channels} elements`, operands);
  const { device } = x;
  const shape = { outer: samples, length: positions, inner: channels };
  const chunks = chunksOf(shape, device.capabilities);
  const sums = device.empty([samples, chunks.count, channels]);
  device.run(planSquareSums(shape, chunks, device.capabilities), [x, sums]);
  const scaleShift = device.empty([samples, 2 * channels]);
  const plan = planResponseScale(samples, chunks.count, channels, { eps, force }, device.capabilities);
  device.run(plan, [sums, gamma, beta, scaleShift]);
  sums.dispose();
  const out = modulate(x, scaleShift, { force });
  scaleShift.dispose();
  return out;
}

/**
 * Scales and shifts the channels of each sample: `x · (1 + a) + b`.
 *
 * @param x `[B,…,C]`
 * @param scaleShift `[B,2C]`, or `[1,2C]` for all samples: a is the first half of a row, b the second
 * @returns the shape of `x`
 */
export function modulate(x: Tensor, scaleShift: Tensor, { force }: Forced = {}): Tensor {
  const operands = { input: x, scaleShift };
  checkDType('modulate', 'f32', operands);
  const shape = samplesOf('modulate', x);
  const [rows, width] = scaleShift.shape;
  const fits =
    scaleShift.rank === 2 && width === 2 * shape.channels && (rows === shape.samples || rows === 1);
  checkShape(fits, 'modulate', `expects scaleShift [${shape.samples},${2 * shape.channels}]`, operands);
  const out = x.device.empty(x.shape);
  x.device.run(planModulate(shape, { shared: rows === 1, force }, x.device.capabilities), [
    x,
    scaleShift,
    out,
  ]);
  return out;
}
