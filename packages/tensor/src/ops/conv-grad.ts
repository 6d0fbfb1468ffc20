/** Gradients of the convolutions in conv.ts. */
import {
  type ConvShape,
  type ConvTransposeShape,
  canSlideBackwards,
  convTransposeOutputSize,
  planConv2d,
  planConvInputGradNaive,
  planConvTranspose2d,
  planConvWeightGrad,
  planDepthwiseInputGrad,
  planFoldEdges,
  planSkipInputGrad,
  planSkipWeightGrad,
} from '@paella/kernels';
import type { Tensor } from '../tensor.js';
import { columnSums } from './matmul.js';

type Gradients = (Tensor | null)[];

interface Options {
  replicate?: boolean;
  /** Anything but `naive` leaves the choice of kernels open. */
  force?: string;
  biasShape?: readonly number[];
}

/** Of x, weight and bias. */
export function convGradients(
  grad: Tensor,
  [x, weight]: readonly Tensor[],
  needs: readonly boolean[],
  shape: ConvShape,
  { replicate = false, force, biasShape }: Options,
): Gradients {
  const naive = force === 'naive';
  return [
    needs[0] ? inputGradient(grad, weight, shape, { replicate, naive }) : null,
    needs[1] ? weightGradient(x, grad, shape, weight.shape, { replicate, naive }) : null,
    needs[2] ? columnSums(grad).reshape(biasShape!) : null,
  ];
}

function inputGradient(
  grad: Tensor,
  weight: Tensor,
  shape: ConvShape,
  { replicate, naive }: { replicate: boolean; naive: boolean },
): Tensor {
  const { device } = grad;
  if (replicate && shape.padding > 0) {
    // With respect to the padded image first; then every edge pixel takes what was padded from it.
    const { height, width, padding } = shape;
    const padded = { ...shape, height: height + 2 * padding, width: width + 2 * padding, padding: 0 };
    const wide = inputGradient(grad, weight, padded, { replicate: false, naive });
    const out = device.empty([shape.batch, height, width, shape.channels]);
    device.run(planFoldEdges(shape, device.capabilities), [wide, out]);
    return out;
  }
  const { batch, height, width, channels, outChannels, groups, stride } = shape;
  const out = device.empty([batch, height, width, channels]);
  const vec4s = channels % 4 === 0 && outChannels % 4 === 0 && !naive;
  if (vec4s && groups === 1) {
    const [, oh, ow] = grad.shape;
    const back = { ...shape, height: oh, width: ow, channels: outChannels, outChannels: channels };
    const plan = planConvTranspose2d(back, { outputSize: { height, width } }, device.capabilities);
    device.run(plan, [grad, weight.permute([0, 1, 3, 2]), null, out]);
  } else if (
    vec4s &&
    groups === channels &&
    groups === outChannels &&
    stride === 1 &&
    canSlideBackwards(shape)
  ) {
    device.run(planDepthwiseInputGrad(shape, device.capabilities), [grad, weight, null, out]);
  } else {
    device.run(planConvInputGradNaive(shape, device.capabilities), [grad, weight, out]);
  }
  return out;
}

function weightGradient(
  x: Tensor,
  grad: Tensor,
  shape: ConvShape,
  weightShape: readonly number[],
  { replicate, naive }: { replicate: boolean; naive: boolean },
): Tensor {
  const { device } = x;
  if (grad.size === 0) return device.zeros(weightShape);
  const force = naive ? ('naive' as const) : undefined;
  const { launch, chunks } = planConvWeightGrad(shape, { replicate, force }, device.capabilities);
  const parts = device.empty([chunks, ...weightShape]);
  device.run(launch, [x, grad, parts]);
  return chunks > 1 ? parts.sum(0) : parts.reshape(weightShape);
}

/** Of x, weight and bias. */
export function convTransposeGradients(
  grad: Tensor,
  [x, weight]: readonly Tensor[],
  needs: readonly boolean[],
  shape: ConvTransposeShape,
  { force, biasShape }: Options,
): Gradients {
  // The convolution that leads from the output to the input.
  const size = convTransposeOutputSize(shape);
  const { channels: outChannels, outChannels: channels } = shape;
  const back: ConvShape = { ...shape, ...size, channels, outChannels, groups: 1 };
  const naive = force === 'naive';
  const swapped = [0, 1, 3, 2];
  const [kh, kw, ci, co] = weight.shape;
  const toInput = (): Tensor => {
    const { device } = grad;
    const out = device.empty(x.shape);
    const plan = planConv2d(back, { force: naive ? 'naive' : undefined }, device.capabilities);
    device.run(plan, [grad, weight.permute(swapped), null, out]);
    return out;
  };
  return [
    needs[0] ? toInput() : null,
    needs[1]
      ? weightGradient(grad, x, back, [kh, kw, co, ci], { replicate: false, naive }).permute(swapped)
      : null,
    needs[2] ? columnSums(grad).reshape(biasShape!) : null,
  ];
}

/** Of x, skip, weight and bias. */
export function skipConvGradients(
  grad: Tensor,
  [x, skip, weight]: readonly Tensor[],
  needs: readonly boolean[],
  shape: ConvTransposeShape,
  { biasShape }: Options,
): Gradients {
  const { device } = grad;
  const full: ConvShape = { ...shape, groups: shape.channels };
  const toInput = (half: 'x' | 'skip'): Tensor => {
    const out = device.empty(x.shape);
    device.run(planSkipInputGrad(half, full, device.capabilities), [grad, weight, null, out]);
    return out;
  };
  const toWeight = (): Tensor => {
    if (grad.size === 0) return device.zeros(weight.shape);
    const [first, second] = (['x', 'skip'] as const).map((half) =>
      planSkipWeightGrad(half, full, device.capabilities),
    );
    const parts = device.empty([first.chunks, ...weight.shape]);
    device.run(first.launch, [x, grad, parts]);
    device.run(second.launch, [skip, grad, parts]);
    return parts.sum(0);
  };
  return [
    needs[0] ? toInput('x') : null,
    needs[1] ? toInput('skip') : null,
    needs[2] ? toWeight() : null,
    needs[3] ? columnSums(grad).reshape(biasShape!) : null,
  ];
}
