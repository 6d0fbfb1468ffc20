import { type Capabilities, type Launch, defineKernel, launch, linearGrid, steppedGrid } from '../kernel.js';
import { ACTIVATIONS } from '../shared/activation.js';
import activation from '../shared/activation.wgsl';
import linear from '../shared/linear.wgsl';
import sincos from '../shared/sincos.wgsl';
import broadcastSource from './binary_broadcast.wgsl';
import binarySource from './binary.wgsl';
import combine from './combine.wgsl';
import accumulateSource from './accumulate.wgsl';
import castSource from './cast.wgsl';
import unarySource from './unary.wgsl';
import unaryGradSource from './unary_grad.wgsl';
import whereSource from './where.wgsl';

const unary = defineKernel('unary', linear, activation, sincos, unarySource);
const unaryGrad = defineKernel('unary_grad', linear, activation, sincos, unaryGradSource);
const binary = defineKernel('binary', linear, combine, binarySource);
const binaryBroadcast = defineKernel('binary_broadcast', linear, combine, broadcastSource);
const where = defineKernel('where', linear, whereSource);

const accumulate = defineKernel('accumulate', linear, accumulateSource);

const casts = {
  /** Rounded to nearest. */
  'f32 f16': defineKernel(
    'f32_to_f16',
    linear,
    'alias From = vec4f; alias To = vec2u;',
    'fn convert(v: From) -> To { return To(pack2x16float(v.xy), pack2x16float(v.zw)); }',
    castSource,
  ),
  'f16 f32': defineKernel(
    'f16_to_f32',
    linear,
    'alias From = vec2u; alias To = vec4f;',
    'fn convert(v: From) -> To { return To(unpack2x16float(v.x), unpack2x16float(v.y)); }',
    castSource,
  ),
  /** Rounded to nearest. */
  'u32 f32': defineKernel(
    'u32_to_f32',
    linear,
    'alias From = vec4u; alias To = vec4f;',
    'fn convert(v: From) -> To { return To(v); }',
    castSource,
  ),
};

/** A conversion that there is a kernel for: from, to. */
export type Cast = keyof typeof casts;

export const canCast = (conversion: string): conversion is Cast => conversion in casts;

/** Numbers of the functions in `unary.wgsl`. */
const UNARY = {
  ...ACTIVATIONS,
  neg: 16,
  abs: 17,
  exp: 18,
  log: 19,
  sqrt: 20,
  square: 21,
  sin: 22,
  cos: 23,
  leaky_relu: 24,
  clamp: 25,
} as const;

/** Numbers of the functions in `combine.wgsl`. */
const BINARY = { add: 0, sub: 1, mul: 2, div: 3, maximum: 4, minimum: 5, pow: 6, gt: 7, eq: 8 } as const;

export type UnaryOp = keyof typeof UNARY;
export type BinaryOp = keyof typeof BINARY;

const WG = 64;

// Functions are pipeline constants: some adapters compute every case of a switch and pick one.

/** Operands: x, out. `alpha` and `beta` are the slope of leaky_relu and the bounds of clamp. */
export function planUnary(
  op: UnaryOp,
  size: number,
  alpha: number,
  beta: number,
  caps: Capabilities,
): Launch {
  const vec4s = Math.ceil(size / 4);
  return launch(unary, {
    constants: { WG, OP: UNARY[op] },
    params: { vec4s, alpha, beta },
    workgroups: steppedGrid(vec4s, WG, caps),
    cost: { flops: size, bytes: 8 * size },
  });
}

/** Operands: x, dy, out. */
export function planUnaryGrad(
  op: UnaryOp,
  size: number,
  alpha: number,
  beta: number,
  caps: Capabilities,
): Launch {
  const vec4s = Math.ceil(size / 4);
  return launch(unaryGrad, {
    constants: { WG, OP: UNARY[op] },
    params: { vec4s, alpha, beta },
    workgroups: steppedGrid(vec4s, WG, caps),
    cost: { flops: 4 * size, bytes: 12 * size },
  });
}

/** Operands: a, b or null, out. Without a `scalar`, a and b have the output's shape. */
export function planBinary(op: BinaryOp, size: number, scalar: number | null, caps: Capabilities): Launch {
  const vec4s = Math.ceil(size / 4);
  return launch(binary, {
    constants: { WG, OP: BINARY[op] },
    params: { vec4s, has_scalar: Number(scalar !== null), scalar: scalar ?? 0 },
    workgroups: steppedGrid(vec4s, WG, caps),
    cost: { flops: size, bytes: (scalar === null ? 12 : 8) * size },
  });
}

/**
 * Operands: a, b, out.
 *
 * @param shape the output's, four lengths
 * @param strides of each operand in elements, 0 along the dimensions it repeats over
 */
export function planBinaryBroadcast(
  op: BinaryOp,
  shape: readonly number[],
  strides: { a: readonly number[]; b: readonly number[] },
  caps: Capabilities,
): Launch {
  const size = shape.reduce((product, length) => product * length, 1);
  return launch(binaryBroadcast, {
    constants: { WG, OP: BINARY[op] },
    params: { shape, a_strides: strides.a, b_strides: strides.b, size },
    workgroups: linearGrid(size, WG, caps),
    cost: { flops: size, bytes: 12 * size },
  });
}

/** Operands: x, out. */
export function planCast(conversion: Cast, size: number, caps: Capabilities): Launch {
  const vec4s = Math.ceil(size / 4);
  return launch(casts[conversion], {
    constants: { WG },
    params: { vec4s },
    workgroups: steppedGrid(vec4s, WG, caps),
    cost: { flops: size, bytes: (conversion === 'u32 f32' ? 8 : 6) * size },
  });
}

/** Operands: x, out (read and written). */
export function planAccumulate(size: number, { fresh }: { fresh: boolean }, caps: Capabilities): Launch {
  const vec4s = Math.ceil(size / 4);
  return launch(accumulate, {
    constants: { WG },
    params: { size, fresh: Number(fresh) },
    workgroups: steppedGrid(vec4s, WG, caps),
    cost: { flops: size, bytes: (fresh ? 8 : 12) * size },
  });
}

/** Operands: condition, x, other, out. */
export function planWhere(size: number, caps: Capabilities): Launch {
  const vec4s = Math.ceil(size / 4);
  return launch(where, {
    constants: { WG },
    params: { vec4s },
    workgroups: steppedGrid(vec4s, WG, caps),
    cost: { flops: size, bytes: 16 * size },
  });
}
