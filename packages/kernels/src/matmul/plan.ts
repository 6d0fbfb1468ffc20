import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import { ACTIVATIONS, type Activation } from '../shared/activation.js';
import activation from '../shared/activation.wgsl';
import linear from '../shared/linear.wgsl';
import rank4 from '../shared/rank4.wgsl';
import naiveSource from './matmul_naive.wgsl';
import tileSource from './matmul.wgsl';

const tile = defineKernel('matmul', linear, rank4, activation, tileSource);
const naive = defineKernel('matmul_naive', linear, activation, naiveSource);

export interface MatmulShape {
  batch: number;
  m: number;
  k: number;
  n: number;
  /** All entries of the batch multiply the same matrix. */
  sharedA?: boolean;
  sharedB?: boolean;
}

export interface MatmulOptions {
  bias?: boolean;
  residual?: boolean;
  activation?: Activation;
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: 'tile' | 'naive';
}

/** Operands: a, b, bias or null, residual or null, out. */
export function planMatmul(shape: MatmulShape, options: MatmulOptions, caps: Capabilities): Launch {
  const { batch, m, k, n } = shape;
  const { bias = false, residual = false, activation: kind = 'none' } = options;
  const variant = options.force ?? (k % 4 === 0 && n % 4 === 0 && m > 0 ? 'tile' : 'naive');
  const lanes = variant === 'tile' ? 4 : 1;
  const workgroup = 64;
  const invocations = variant === 'tile' ? (Math.ceil(m / 8) * n) / 4 : m * n;
  const [x, y] = linearGrid(invocations, workgroup, caps);
  const strides = {
    a_stride: shape.sharedA ? 0 : (m * k) / lanes,
    b_stride: shape.sharedB ? 0 : (k * n) / lanes,
  };
  const operands =
    (shape.sharedA ? 1 : batch) * m * k +
    (shape.sharedB ? 1 : batch) * k * n +
    (residual ? 2 : 1) * batch * m * n;
  return launch(variant === 'tile' ? tile : naive, {
    constants: {
      WG: workgroup,
      HAS_BIAS: bias,
      HAS_RESIDUAL: residual,
      ACTIVATION: ACTIVATIONS[kind],
    },
    params: variant === 'tile' ? { m, k4: k / 4, n4: n / 4, ...strides } : { m, k, n, ...strides },
    workgroups: [x, y, batch],
    cost: { flops: 2 * batch * m * k * n, bytes: 4 * (operands + (bias ? n : 0)) },
  });
}
