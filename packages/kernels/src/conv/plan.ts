import {
  type Capabilities,
  type Kernel,
  type Launch,
  choose,
  defineKernel,
  launch,
  linearGrid,
} from '../kernel.js';
import linear from '../shared/linear.wgsl';
import rank4 from '../shared/rank4.wgsl';
import stagedTile from '../shared/staged_tile.wgsl';
import subgroupTile from '../shared/subgroup_tile.wgsl';
import { hasEqualSubgroups, subgroupInvocations } from '../shared/subgroups.js';
import subgroups from '../shared/subgroups.wgsl';
import tileSource from './conv.wgsl';
import naiveSource from './conv_naive.wgsl';
import sharedSource from './conv_shared.wgsl';
import subgroupSource from './conv_subgroup.wgsl';
import transposeNaiveSource from './conv_transpose_naive.wgsl';
import depthwiseSource from './depthwise.wgsl';
import geometry from './geometry.wgsl';
import skipSource from './skip.wgsl';
import sliding from './sliding.wgsl';
import sliding3 from './sliding3.wgsl';
import window from './window.wgsl';

const tiles = {
  tile: defineKernel('conv', linear, rank4, geometry, tileSource),
  subgroup: defineKernel('conv_subgroup', subgroups, linear, rank4, geometry, subgroupTile, subgroupSource),
  shared: defineKernel('conv_shared', linear, geometry, stagedTile, sharedSource),
};
const naive = defineKernel('conv_naive', linear, naiveSource);
const transposeNaive = defineKernel('conv_transpose_naive', linear, transposeNaiveSource);
export const depthwise = defineSliding('conv_depthwise', depthwiseSource);
const skip = defineSliding('conv_skip', skipSource);

/** A kernel with a sliding window, for 3 × 3 taps and for any number. */
export interface SlidingKernel {
  of3: Kernel;
  any: Kernel;
}

/** @param operands WGSL that says what a value is, and what becomes of it */
export function defineSliding(name: string, operands: string): SlidingKernel {
  return {
    of3: defineKernel(`${name}3`, operands, window, sliding3),
    any: defineKernel(name, operands, window, sliding),
  };
}

/** A convolution of `[batch,height,width,channels]` by `[kernelHeight,kernelWidth,channels/groups,outChannels]`. */
export interface ConvShape {
  batch: number;
  height: number;
  width: number;
  channels: number;
  outChannels: number;
  kernelHeight: number;
  kernelWidth: number;
  stride: number;
  padding: number;
  groups: number;
}

/** The same without groups: `[kernelHeight,kernelWidth,channels,outChannels]`. */
export type ConvTransposeShape = Omit<ConvShape, 'groups'>;

/**
 * `subgroup` and `tile` share pixels as products share rows, with subgroups of one size and without; `shared` stages both
 * operands in workgroup memory, for GPUs.
 */
export type ConvVariant = 'tile' | 'subgroup' | 'shared' | 'depthwise' | 'naive';

export interface ConvOptions {
  bias?: boolean;
  /** Positions outside repeat the nearest pixel instead of being zero. */
  replicate?: boolean;
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: ConvVariant;
}

export interface ConvTransposeOptions {
  bias?: boolean;
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: Exclude<ConvVariant, 'depthwise'>;
}

export const WG = 64;

/** Height and width of a convolution's output; below 1 where the kernel does not fit. */
export function convOutputSize({
  height,
  width,
  kernelHeight,
  kernelWidth,
  stride,
  padding,
}: ConvTransposeShape) {
  return {
    height: Math.floor((height + 2 * padding - kernelHeight) / stride) + 1,
    width: Math.floor((width + 2 * padding - kernelWidth) / stride) + 1,
  };
}

/** Height and width of a transposed convolution's output. */
export function convTransposeOutputSize(shape: ConvTransposeShape) {
  const { height, width, kernelHeight, kernelWidth, stride, padding } = shape;
  return {
    height: (height - 1) * stride - 2 * padding + kernelHeight,
    width: (width - 1) * stride - 2 * padding + kernelWidth,
  };
}

/** Operands: x, weight, bias or null, out. */
export function planConv2d(shape: ConvShape, options: ConvOptions, caps: Capabilities): Launch {
  const { bias = false, replicate = false, force: variant = chooseConv2d(shape, caps) } = options;
  if (variant === 'depthwise') {
    const range = { first4: 0, count4: shape.outChannels / 4 };
    return planSliding(depthwise, shape, range, { bias, replicate }, caps);
  }
  const { batch, channels, outChannels, groups, stride, padding } = shape;
  const out = convOutputSize(shape);
  const pixels = batch * out.height * out.width;
  const cost = convCost(shape, pixels, channels / groups, bias);
  const sizes = {
    size: [shape.width, shape.height],
    out_size: [out.width, out.height],
    kernel: [shape.kernelWidth, shape.kernelHeight],
    stride,
    padding,
  };
  if (variant !== 'naive') {
    const { workgroups, ...tiled } = planTiles(variant, shape, pixels, { bias }, caps);
    const params = { ...sizes, ...tiled.params, grid: sizes.out_size, replicate: Number(replicate) };
    return launch(tiles[variant], {
      constants: tiled.constants,
      params: { ...params, transposed: 0 },
      workgroups,
      cost,
    });
  }
  const outputs = pixels * outChannels;
  return launch(naive, {
    constants: { WG, HAS_BIAS: bias, REPLICATE: replicate },
    params: {
      ...sizes,
      channels,
      group_in: channels / groups,
      out_channels: outChannels,
      group_out: outChannels / groups,
      outputs,
    },
    workgroups: linearGrid(outputs, WG, caps),
    cost,
  });
}

function chooseConv2d(shape: ConvShape, caps: Capabilities): ConvVariant {
  const { channels, outChannels, groups, stride } = shape;
  const vec4s = channels % 4 === 0 && outChannels % 4 === 0;
  if (vec4s && groups === 1) return chooseDense('conv', shape, pixelsOf(shape), caps);
  if (vec4s && groups === channels && groups === outChannels && stride === 1) return 'depthwise';
  return 'naive';
}

const TILE = ['tile'] as const;
const SUBGROUP = ['subgroup', 'tile'] as const;
const SHARED = ['shared', 'tile'] as const;
const SMALL = ['tile', 'shared'] as const;

/**
 * The kernel of a convolution without groups, whose channels are divisible by 4.
 *
 * @param rows of the product that it is; a tile for GPUs has 64 of them, and 64 channels
 */
export function chooseDense(
  family: string,
  shape: ConvTransposeShape,
  rows: number,
  caps: Capabilities,
): 'tile' | 'subgroup' | 'shared' {
  const { channels, outChannels, kernelHeight, kernelWidth } = shape;
  const sizes = [pixelsOf(shape), kernelHeight * kernelWidth, channels, outChannels];
  if (caps.isSoftware) return choose(caps, family, sizes, hasEqualSubgroups(caps) ? SUBGROUP : TILE);
  return choose(caps, family, sizes, Math.min(rows, outChannels) >= 32 ? SHARED : SMALL);
}

const pixelsOf = ({ batch, height, width }: ConvTransposeShape): number => batch * height * width;

/**
 * Half of a skip convolution, which is a convolution over the channels of x and then skip in groups of two: the
 * first half of the output channels reads x, the second half skip.
 * Operands: x or skip, weight, bias or null, out.
 *
 * @param shape `channels` and `outChannels` are those of x: divisible by 8; the stride is 1
 */
export function planSkipConv2d(
  half: 'x' | 'skip',
  shape: ConvTransposeShape,
  options: Pick<ConvOptions, 'bias'>,
  caps: Capabilities,
): Launch {
  const count4 = shape.outChannels / 8;
  const range = { first4: half === 'x' ? 0 : count4, count4 };
  return planSliding(skip, shape, range, { bias: options.bias ?? false, replicate: false }, caps);
}

export function planSliding(
  kernels: SlidingKernel,
  shape: ConvTransposeShape,
  range: { first4: number; count4: number },
  {
    bias,
    replicate,
    flip = false,
    offset = 0,
  }: { bias: boolean; replicate: boolean; flip?: boolean; offset?: number },
  caps: Capabilities,
): Launch {
  const { batch, width, height, kernelWidth, kernelHeight, padding, outChannels } = shape;
  const out = convOutputSize(shape);
  const is3 = kernelWidth === 3 && kernelHeight === 3;
  // A GPU would rather have invocations than save loads.
  const rows = is3 ? (caps.isSoftware ? 8 : 2) : 1;
  return launch(is3 ? kernels.of3 : kernels.any, {
    constants: { WG, HAS_BIAS: bias },
    params: {
      size: [width, height],
      out_size: [out.width, out.height],
      kernel: [kernelWidth, kernelHeight],
      padding,
      channels4: outChannels / 4,
      ...range,
      replicate: Number(replicate),
      flip: Number(flip),
      offset,
      rows,
    },
    workgroups: [
      Math.ceil((Math.ceil(out.width / 4) * range.count4) / WG),
      Math.ceil(out.height / rows),
      batch,
    ],
    // Both kinds read each of their inputs and weights once: half a skip convolution has half the outputs, and
    // two inputs for each.
    cost: convCost(shape, batch * out.height * out.width, 1, bias),
  });
}

/**
 * Operands: x, weight, bias or null, out.
 *
 * @param options.outputSize where it is not what the shape gives: pixels that no input reaches are zero
 */
export function planConvTranspose2d(
  shape: ConvTransposeShape,
  options: ConvTransposeOptions & { outputSize?: { height: number; width: number } },
  caps: Capabilities,
): Launch {
  const { batch, height, width, channels, outChannels, stride, padding } = shape;
  const vec4s = channels % 4 === 0 && outChannels % 4 === 0;
  const { bias = false, force } = options;
  const variant = force ?? (vec4s ? chooseDense('conv transposed', shape, pixelsOf(shape), caps) : 'naive');
  const out = options.outputSize ?? convTransposeOutputSize(shape);
  const outPixels = batch * out.height * out.width;
  const cost = convCost(shape, batch * height * width, channels, bias);
  cost.bytes += 4 * (outPixels - batch * height * width) * outChannels;
  const sizes = {
    size: [width, height],
    out_size: [out.width, out.height],
    kernel: [shape.kernelWidth, shape.kernelHeight],
    stride,
    padding,
  };
  if (variant === 'naive') {
    const outputs = outPixels * outChannels;
    return launch(transposeNaive, {
      constants: { WG, HAS_BIAS: bias },
      params: { ...sizes, channels, out_channels: outChannels, outputs },
      workgroups: linearGrid(outputs, WG, caps),
      cost,
    });
  }
  const grid = [Math.ceil(out.width / stride), Math.ceil(out.height / stride)];
  const pixels = batch * grid[0] * grid[1];
  const { constants, params, workgroups } = planTiles(variant, shape, pixels, { bias }, caps);
  return launch(tiles[variant], {
    constants,
    params: { ...sizes, ...params, grid, replicate: 0, transposed: 1 },
    workgroups: [workgroups[0], workgroups[1], stride * stride],
    cost,
  });
}

/** What kernels by tiles want, for a grid of `pixels`: tiles of 4 pixels × 8 channels, a subgroup's or a workgroup's. */
function planTiles(
  variant: keyof typeof tiles,
  { batch, channels, outChannels }: ConvTransposeShape,
  pixels: number,
  { bias }: { bias: boolean },
  caps: Capabilities,
) {
  const [k4, n4] = [channels / 4, outChannels / 4];
  if (variant === 'shared') {
    const rows = Math.ceil(pixels / 64);
    return {
      constants: { WG, HAS_BIAS: bias },
      params: { images: batch, pixel_tiles: rows, k4, n4 },
      workgroups: linearGrid(rows * Math.ceil(n4 / 16), 1, caps),
    };
  }
  const bySubgroup = variant === 'subgroup';
  const pixelTiles = Math.ceil(pixels / (bySubgroup ? 16 : 4));
  const invocations = bySubgroup ? subgroupInvocations(pixels, n4, caps) : pixelTiles * Math.ceil(n4 / 2);
  return {
    constants: { WG, HAS_BIAS: bias, ...(bySubgroup && { SUBGROUP: caps.subgroupSize }) },
    params: { images: batch, pixel_tiles: pixelTiles, k4, n4 },
    workgroups: linearGrid(invocations, WG, caps),
  };
}

/** Every weight meets `pixels` pixels; an operand is counted once. */
export function convCost(
  shape: ConvTransposeShape,
  pixels: number,
  channelsPerOutput: number,
  bias: boolean,
) {
  const { batch, height, width, channels, outChannels, kernelHeight, kernelWidth } = shape;
  const weights = kernelHeight * kernelWidth * channelsPerOutput * outChannels;
  const inputs = batch * height * width * channels;
  return {
    flops: 2 * pixels * weights,
    bytes: 4 * (inputs + weights + pixels * outChannels + (bias ? outChannels : 0)),
  };
}
