import {
  type ConvOptions as ConvPlanOptions,
  type ConvTransposeOptions as ConvTransposePlanOptions,
  type ConvTransposeShape,
  canSlideBackwards,
  convOutputSize,
  convTransposeOutputSize,
  planConv2d,
  planConvTranspose2d,
  planSkipConv2d,
} from '@paella/kernels';
import { record } from '../autograd/graph.js';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape, weightType } from './check.js';
import { convGradients, convTransposeGradients, skipConvGradients } from './conv-grad.js';
import { cat } from './layout.js';
import { linearGradients, multiply } from './matmul.js';

export interface Conv2dOptions {
  /** `[out]` */
  bias?: Tensor | null;
  stride?: number;
  /** Pixels added on every side. */
  padding?: number;
  /** Input and output channels are split into this many groups that do not see each other. */
  groups?: number;
  /** What the added pixels hold: zero, or the nearest pixel of the image. */
  paddingMode?: 'zeros' | 'replicate';
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: 'matmul' | ConvPlanOptions['force'];
}

/**
 * Convolution (cross-correlation, as PyTorch's `conv2d`) over channels-last images.
 *
 * @param x `[b,h,w,c]`
 * @param weight `[kh,kw,c/groups,out]`
 * @returns `[b,oh,ow,out]` with `oh = ⌊(h + 2·padding − kh)/stride⌋ + 1`
 * @throws PaellaError `shape` if operands do not fit together or the kernel is larger than the padded image,
 *   `argument` for a stride, padding or number of groups out of range
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  const { bias = null, stride = 1, padding = 0, groups = 1, paddingMode = 'zeros', force } = options;
  checkOperands('conv2d', { input: x, weight, bias }, stride, padding, groups);
  const shape = { ...shapeOf(x, weight, stride, padding), groups };
  const operands = { 'input (NHWC)': x, 'weight (HWIO)': weight };
  const { channels, outChannels } = shape;
  const [, , channelsPerGroup] = weight.shape;
  const expects = `weight expects ${channelsPerGroup * groups} input channels, got ${channels}`;
  checkShape(channelsPerGroup * groups === channels, 'conv2d', expects, operands);
  const divides = outChannels % groups === 0;
  checkShape(divides, 'conv2d', `${groups} groups do not divide ${outChannels} output channels`, operands);
  const size = convOutputSize(shape);
  checkFits('conv2d', size, operands);

  const { device } = x;
  const out = device.empty([shape.batch, size.height, size.width, outChannels]);
  const pointwise = shape.kernelHeight * shape.kernelWidth * stride === 1 && padding === 0 && groups === 1;
  if (pointwise && (force === undefined || force === 'matmul')) {
    const pixels = shape.batch * shape.height * shape.width;
    const matrix = { batch: 1, m: pixels, k: channels, n: outChannels };
    const matmulOptions = { bias: !!bias, weight: weightType('conv2d', weight) };
    multiply(matrix, matmulOptions, [x, weight, bias], out);
    return record('conv2d', out, [x, weight, bias], [x, weight], (grad, saved, needs) =>
      linearGradients(grad, saved, needs, { bias }),
    );
  }
  if (force === 'matmul') {
    throw new PaellaError('argument', 'conv2d: only a dense 1×1 convolution of stride 1 is a matrix product');
  }
  checkDType('conv2d', 'f32', { weight });
  const planOptions = { bias: !!bias, replicate: paddingMode === 'replicate', force };
  device.run(planConv2d(shape, planOptions, device.capabilities), [x, weight, bias, out]);
  return record('conv2d', out, [x, weight, bias], [x, weight], (grad, saved, needs) =>
    convGradients(grad, saved, needs, shape, { ...planOptions, biasShape: bias?.shape }),
  );
}

export interface ConvTranspose2dOptions {
  /** `[out]` */
  bias?: Tensor | null;
  stride?: number;
  /** Pixels cut off on every side of the output. */
  padding?: number;
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: ConvTransposePlanOptions['force'];
}

/**
 * Transposed convolution over channels-last images: every input pixel adds a scaled copy of the kernel to the
 * output, `stride` pixels from its neighbour's.
 *
 * @param x `[b,h,w,c]`
 * @param weight `[kh,kw,c,out]`
 * @returns `[b,oh,ow,out]` with `oh = (h − 1)·stride − 2·padding + kh`
 * @throws PaellaError `shape` if operands do not fit together or the padding leaves no output, `argument` for a
 *   stride or padding out of range
 */
export function convTranspose2d(x: Tensor, weight: Tensor, options: ConvTranspose2dOptions = {}): Tensor {
  const { bias = null, stride = 1, padding = 0, force } = options;
  checkOperands('convTranspose2d', { input: x, weight, bias }, stride, padding, 1);
  const shape = shapeOf(x, weight, stride, padding);
  const operands = { 'input (NHWC)': x, 'weight (HWIO)': weight };
  const expects = `weight expects ${weight.shape[2]} input channels, got ${shape.channels}`;
  checkShape(weight.shape[2] === shape.channels, 'convTranspose2d', expects, operands);
  const size = convTransposeOutputSize(shape);
  checkFits('convTranspose2d', size, operands);
  const { device } = x;
  const out = device.empty([shape.batch, size.height, size.width, shape.outChannels]);
  const plan = planConvTranspose2d(shape, { bias: !!bias, force }, device.capabilities);
  device.run(plan, [x, weight, bias, out]);
  return record('convTranspose2d', out, [x, weight, bias], [x, weight], (grad, saved, needs) =>
    convTransposeGradients(grad, saved, needs, shape, { force, biasShape: bias?.shape }),
  );
}

export interface SkipConv2dOptions {
  /** `[c]` */
  bias?: Tensor | null;
  padding?: number;
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: 'naive';
}

/**
 * `conv2d(cat([x, skip], channels), weight, { groups: c })`, as Paella's first block after a skip connection
 * does it: output channel g reads channels 2g and 2g+1 of the two put together. Where c is divisible by 8
 * they are never put together in memory.
 *
 * @param x `[b,h,w,c]`
 * @param skip `[b,h,w,c]`
 * @param weight `[kh,kw,2,c]`
 * @returns `[b,oh,ow,c]` with `oh = h + 2·padding − kh + 1`
 * @throws PaellaError `shape` if operands do not fit together
 */
export function skipConv2d(x: Tensor, skip: Tensor, weight: Tensor, options: SkipConv2dOptions = {}): Tensor {
  const { bias = null, padding = 0, force } = options;
  checkOperands('skipConv2d', { input: x, skip, weight, bias }, 1, padding, 1);
  const operands = { input: x, skip, weight };
  const same = x.shape.every((length, i) => length === skip.shape[i]);
  checkShape(same, 'skipConv2d', 'input and skip must have one shape', operands);
  const shape = shapeOf(x, weight, 1, padding);
  const { batch, channels, outChannels } = shape;
  const fits = weight.shape[2] === 2 && outChannels === channels;
  checkShape(fits, 'skipConv2d', `expects a weight [kh,kw,2,${channels}]`, operands);
  if (channels % 8 !== 0 || force === 'naive' || !canSlideBackwards(shape)) {
    const joined = cat([x, skip], 3);
    const out = conv2d(joined, weight, { bias, padding, groups: channels, force: 'naive' });
    joined.dispose();
    return out;
  }
  const size = convOutputSize(shape);
  checkFits('skipConv2d', size, operands);
  const { device } = x;
  const out = device.empty([batch, size.height, size.width, channels]);
  for (const [half, source] of [
    ['x', x],
    ['skip', skip],
  ] as const) {
    const plan = planSkipConv2d(half, shape, { bias: !!bias }, device.capabilities);
    device.run(plan, [source, weight, bias, out]);
  }
  return record('skipConv2d', out, [x, skip, weight, bias], [x, skip, weight], (grad, saved, needs) =>
    skipConvGradients(grad, saved, needs, shape, { biasShape: bias?.shape }),
  );
}

function shapeOf(x: Tensor, weight: Tensor, stride: number, padding: number): ConvTransposeShape {
  const [batch, height, width, channels] = x.shape;
  const [kernelHeight, kernelWidth, , outChannels] = weight.shape;
  return { batch, height, width, channels, outChannels, kernelHeight, kernelWidth, stride, padding };
}

/** Checks what every convolution asks of its operands. */
function checkOperands(
  op: string,
  operands: { input: Tensor; skip?: Tensor; weight: Tensor; bias: Tensor | null },
  stride: number,
  padding: number,
  groups: number,
): void {
  const { input, skip = input, weight, bias } = operands;
  checkDType(op, 'f32', { input, skip, bias });
  const ranks = input.rank === 4 && skip.rank === 4 && weight.rank === 4;
  checkShape(ranks, op, 'expects images [b,h,w,c] and a weight [kh,kw,in,out]', operands);
  const [, , , outChannels] = weight.shape;
  checkShape(!bias || bias.size === outChannels, op, `expects ${outChannels} biases`, operands);
  const whole = (value: number, least: number) => Number.isInteger(value) && value >= least;
  if (!whole(stride, 1) || !whole(padding, 0) || !whole(groups, 1)) {
    const got = `stride ${stride}, padding ${padding}, groups ${groups}`;
    throw new PaellaError(
      'argument',
      `${op}: expects whole numbers, stride ≥ 1, padding ≥ 0, groups ≥ 1, got ${got}`,
    );
  }
}

function checkFits(
  op: string,
  size: { height: number; width: number },
  operands: Record<string, Tensor>,
): void {
  const fits = size.height >= 1 && size.width >= 1;
  checkShape(fits, op, `the output would be ${size.height}×${size.width} pixels`, operands);
}
