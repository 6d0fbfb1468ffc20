import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import { LANES } from '../shared/lanes.js';
import linear from '../shared/linear.wgsl';
import rank4 from '../shared/rank4.wgsl';
import stagedTile from '../shared/staged_tile.wgsl';
import subgroupTile from '../shared/subgroup_tile.wgsl';
import { subgroupInvocations } from '../shared/subgroups.js';
import subgroups from '../shared/subgroups.wgsl';
import inputNaiveSource from './conv_input_grad_naive.wgsl';
import weightSource from './conv_weight_grad.wgsl';
import weightSharedSource from './conv_weight_grad_shared.wgsl';
import weightSubgroupSource from './conv_weight_grad_subgroup.wgsl';
import weightNaiveSource from './conv_weight_grad_naive.wgsl';
import foldSource from './fold_edges.wgsl';
import {
  type ConvShape,
  type ConvTransposeShape,
  WG,
  chooseDense,
  convCost,
  convOutputSize,
  defineSliding,
  depthwise,
  planSliding,
} from './plan.js';
import skipInputSource from './skip_input_grad.wgsl';
import slidingWeightSource from './sliding_weight_grad.wgsl';
import weightOperands from './weight_grad_operands.wgsl';

const weightTiles = {
  tile: defineKernel('conv_weight_grad', linear, weightOperands, weightSource),
  subgroup: defineKernel(
    'conv_weight_grad_subgroup',
    subgroups,
    linear,
    rank4,
    subgroupTile,
    weightOperands,
    weightSubgroupSource,
  ),
  shared: defineKernel('conv_weight_grad_shared', linear, stagedTile, weightOperands, weightSharedSource),
};
const weightNaive = defineKernel('conv_weight_grad_naive', linear, weightNaiveSource);
const inputNaive = defineKernel('conv_input_grad_naive', linear, inputNaiveSource);
const folds = {
  scalar: defineKernel('fold_edges', linear, LANES.scalar, foldSource),
  columns: defineKernel('fold_edges_vec4', linear, LANES.columns, foldSource),
};
const slidingWeight = defineKernel('conv_sliding_weight_grad', linear, slidingWeightSource);
const skipInput = defineSliding('conv_skip_input_grad', skipInputSource);

/** A launch whose results are `chunks` parts that the caller adds. */
export interface Chunked {
  launch: Launch;
  chunks: number;
}

/** No sum is longer than this, for accuracy. */
const LONGEST_SUM = 4096;

/** Cuts a sum of `length` terms so that `outputs` results keep the adapter busy. */
function cut(length: number, outputs: number, shortest: number, caps: Capabilities) {
  const busy = caps.isSoftware ? 512 : 32768;
  const pieces = Math.ceil(Math.min(Math.max(busy / outputs, length / LONGEST_SUM), length / shortest));
  const chunk = Math.ceil(length / Math.max(1, pieces));
  return { chunk, chunks: Math.ceil(length / chunk) };
}

const sizesOf = (shape: ConvShape, out: { height: number; width: number }) => ({
  size: [shape.width, shape.height],
  out_size: [out.width, out.height],
  kernel: [shape.kernelWidth, shape.kernelHeight],
  padding: shape.padding,
});

const groupsOf = ({ batch, stride, channels, outChannels, groups }: ConvShape) => ({
  stride,
  channels,
  group_in: channels / groups,
  out_channels: outChannels,
  group_out: outChannels / groups,
  images: batch,
});

/**
 * The weight's gradient of a convolution of any groups. Operands: x, dy, out `[chunks,kh,kw,channels/groups,out]`.
 *
 * @param shape of the convolution; for a transposed one of stride s, that of the convolution which leads from its
 *   output to its input, with that output as x and that input as dy
 */
export function planConvWeightGrad(
  shape: ConvShape,
  options: { replicate: boolean; force?: 'naive' | 'shared' },
  caps: Capabilities,
): Chunked {
  const { batch, channels, outChannels, groups, stride, kernelHeight, kernelWidth } = shape;
  const out = convOutputSize(shape);
  const pixels = batch * out.height * out.width;
  const taps = kernelHeight * kernelWidth;
  const replicate = Number(options.replicate);
  const { force } = options;
  const vec4s = channels % 4 === 0 && outChannels % 4 === 0;
  const cost = convCost(shape, pixels, channels / groups, false);
  if (vec4s && groups === 1 && force !== 'naive') {
    const variant = force ?? chooseDense('conv weight gradient', shape, taps * channels, caps);
    const bySubgroup = variant === 'subgroup';
    const invocations = {
      tile: taps * Math.ceil(channels / 8) * (outChannels / 4),
      subgroup: bySubgroup ? taps * subgroupInvocations(channels, outChannels / 4, caps) : 0,
      shared: WG * Math.ceil((taps * channels) / 64) * Math.ceil(outChannels / 64),
    }[variant];
    const { chunk, chunks } = cut(pixels, invocations, 64, caps);
    const { out_size: grid, ...sizes } = sizesOf(shape, out);
    const params = {
      ...sizes,
      grid,
      stride,
      a4: channels / 4,
      b4: outChannels / 4,
      pixels,
      chunk,
      replicate,
    };
    const [x, y] = linearGrid(invocations, WG, caps);
    return {
      launch: launch(weightTiles[variant], {
        constants: { WG, ...(bySubgroup && { SUBGROUP: caps.subgroupSize }) },
        params,
        workgroups: [x, y, chunks],
        cost,
      }),
      chunks,
    };
  }
  if (vec4s && groups === channels && groups === outChannels && stride === 1 && force !== 'naive') {
    return planSlidingWeightGrad(shape, { first4: 0, count4: channels / 4 }, { replicate, two: 0 }, caps);
  }
  return {
    launch: launch(weightNaive, {
      constants: { WG },
      params: { ...sizesOf(shape, out), ...groupsOf(shape), replicate },
      workgroups: linearGrid((taps * channels * outChannels) / groups, WG, caps),
      cost,
    }),
    chunks: 1,
  };
}

/**
 * Half of the weight's gradient of a skip convolution. Operands: x or skip, dy, out `[chunks,kh,kw,2,c]`, of which the
 * launch writes the half of the channels that read x, or skip.
 */
export function planSkipWeightGrad(half: 'x' | 'skip', shape: ConvShape, caps: Capabilities): Chunked {
  const count4 = shape.outChannels / 8;
  const range = { first4: half === 'x' ? 0 : count4, count4 };
  return planSlidingWeightGrad(shape, range, { replicate: 0, two: 1 }, caps);
}

function planSlidingWeightGrad(
  shape: ConvShape,
  range: { first4: number; count4: number },
  kind: { replicate: number; two: number },
  caps: Capabilities,
): Chunked {
  const out = convOutputSize(shape);
  const rows = shape.batch * out.height;
  const taps = shape.kernelHeight * shape.kernelWidth;
  const { chunk, chunks } = cut(rows, taps * range.count4, Math.ceil(64 / out.width), caps);
  return {
    launch: launch(slidingWeight, {
      constants: { WG },
      params: { ...sizesOf(shape, out), channels4: shape.outChannels / 4, ...range, rows, chunk, ...kind },
      workgroups: linearGrid(range.count4 * taps * chunks, WG, caps),
      cost: convCost(shape, rows * out.width, 1, false),
    }),
    chunks,
  };
}

/** The input's gradient of a convolution of any groups, with zero padding. Operands: dy, weight, out. */
export function planConvInputGradNaive(shape: ConvShape, caps: Capabilities): Launch {
  const { batch, height, width, channels, groups } = shape;
  const out = convOutputSize(shape);
  return launch(inputNaive, {
    constants: { WG },
    params: { ...sizesOf(shape, out), ...groupsOf(shape) },
    workgroups: linearGrid(batch * height * width * channels, WG, caps),
    cost: convCost(shape, batch * out.height * out.width, channels / groups, false),
  });
}

/** What slides over dy to give the gradient of a stride-1 convolution's input. */
function backwards(shape: ConvShape): ConvTransposeShape {
  const { height, width } = convOutputSize(shape);
  return { ...shape, height, width, padding: shape.kernelHeight - 1 - shape.padding };
}

/** Whether the sliding kernels can compute the input's gradient. */
export const canSlideBackwards = ({ kernelHeight, kernelWidth, padding }: ConvTransposeShape): boolean =>
  kernelHeight === kernelWidth && padding < kernelHeight;

/** The input's gradient of a depthwise convolution, with zero padding. Operands: dy, weight, null, out. */
export function planDepthwiseInputGrad(shape: ConvShape, caps: Capabilities): Launch {
  const range = { first4: 0, count4: shape.channels / 4 };
  return planSliding(depthwise, backwards(shape), range, { bias: false, replicate: false, flip: true }, caps);
}

/** The gradient of a skip convolution's x, or skip. Operands: dy, weight, null, out. */
export function planSkipInputGrad(half: 'x' | 'skip', shape: ConvShape, caps: Capabilities): Launch {
  const range = { first4: 0, count4: shape.channels / 4 };
  const offset = half === 'x' ? 0 : shape.channels / 4;
  return planSliding(
    skipInput,
    backwards(shape),
    range,
    {
      bias: false,
      replicate: false,
      flip: true,
      offset,
    },
    caps,
  );
}

/** The gradient of replication padding. Operands: x `[b,h+2p,w+2p,c]`, out `[b,h,w,c]`. */
export function planFoldEdges(
  { batch, height, width, channels, padding }: ConvTransposeShape,
  caps: Capabilities,
): Launch {
  const size = batch * height * width * channels;
  const padded = batch * (height + 2 * padding) * (width + 2 * padding) * channels;
  const lanes = channels % 4 === 0 ? 'columns' : 'scalar';
  const per = lanes === 'columns' ? 4 : 1;
  return launch(folds[lanes], {
    constants: { WG },
    params: { size: [width, height], padding, channels: channels / per, images: batch },
    workgroups: linearGrid(size / per, WG, caps),
    cost: { flops: padded, bytes: 4 * (size + padded) },
  });
}
