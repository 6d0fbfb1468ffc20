import {
  chunksOf,
  planChannelDots,
  planMix,
  planModulate,
  planResponseGrad,
  planResponseScale,
  planSquareSums,
} from '@paella/kernels';
import { record } from '../autograd/graph.js';
import { noGrad } from '../autograd/mode.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape, samplesOf } from './check.js';
import type { Forced } from './norm.js';

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
  const out = noGrad(() => modulate(x, scaleShift, { force }));
  scaleShift.dispose();
  record('globalResponseNorm', out, [x, gamma, beta], [x, sums, gamma], (grad, saved) => {
    const [savedX, squares, savedGamma] = saved;
    const dots = channelDots(savedX, grad, { force });
    const factors = device.empty([samples, 2 * channels]);
    const parts = device.empty([samples, 2, channels]);
    const gradPlan = planResponseGrad(samples, chunks.count, channels, { eps, force }, device.capabilities);
    device.run(gradPlan, [squares, dots, savedGamma, factors, parts]);
    const dx = mix(grad, savedX, factors, { force });
    const weights = parts.sum(0);
    return [dx, weights.slice(0, 0, 1).reshape(gamma.shape), weights.slice(0, 1, 2).reshape(beta.shape)];
  });
  sums.dispose();
  return out;
}

/** @internal `[samples,chunks,2·C]`: Σ a·b and Σ b over the positions of each chunk. */
export function channelDots(a: Tensor, b: Tensor, { force }: Forced = {}): Tensor {
  const { device } = a;
  const shape = samplesOf('channelDots', a);
  const { samples: outer, positions: length, channels: inner } = shape;
  const chunks = chunksOf({ outer, length, inner }, device.capabilities);
  const out = device.empty([outer, chunks.count, 2 * inner]);
  device.run(planChannelDots(shape, chunks, { force }, device.capabilities), [a, b, out]);
  return out;
}

/** @internal `a·f₀ + b·f₁`, with factors `[samples,2·C]` of which f₀ is the first half of a row. */
export function mix(a: Tensor, b: Tensor, factors: Tensor, { force }: Forced = {}): Tensor {
  const { device } = a;
  const out = device.empty(a.shape);
  device.run(planMix(samplesOf('mix', a), { force }, device.capabilities), [a, b, factors, out]);
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
  return record('modulate', out, [x, scaleShift], [x, scaleShift], (grad, saved, needs) => {
    const [savedX, savedScale] = saved;
    const dx = x.device.empty(x.shape);
    const gradPlan = planModulate(shape, { shared: rows === 1, shift: false, force }, x.device.capabilities);
    if (needs[0]) x.device.run(gradPlan, [grad, savedScale, dx]);
    // The sums of products and of gradients lie side by side as scale and shift do.
    const axes = rows === 1 ? [0, 1] : 1;
    return [
      needs[0] ? dx : null,
      needs[1] ? channelDots(savedX, grad, { force }).sum(axes).reshape(scaleShift.shape) : null,
    ];
  });
}
