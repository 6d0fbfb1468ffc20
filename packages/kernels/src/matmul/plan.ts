import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import { ACTIVATIONS, type Activation } from '../shared/activation.js';
import activation from '../shared/activation.wgsl';
import linear from '../shared/linear.wgsl';
import rank4 from '../shared/rank4.wgsl';
import tile8 from '../shared/tile8.wgsl';
import weightF16 from '../shared/weight_f16.wgsl';
import weightF32 from '../shared/weight_f32.wgsl';
import naiveSource from './matmul_naive.wgsl';
import tileSource from './matmul.wgsl';

const tile = {
  f32: defineKernel('matmul', linear, activation, weightF32, rank4, tile8, tileSource),
  f16: defineKernel('matmul_f16', linear, activation, weightF16, rank4, tile8, tileSource),
};
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
  /** How b is stored; f16 needs k and n divisible by 4. */
  weight?: 'f32' | 'f16';
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: 'tile' | 'naive';
}

/** Operands: a, b, bias or null, residual or null, out. */
export function planMatmul(shape: MatmulShape, options: MatmulOptions, caps: Capabilities): Launch {
  const { batch, m, k, n } = shape;
  const { bias = false, residual = false, activation: kind = 'none', weight = 'f32' } = options;
  const variant = options.force ?? (k % 4 === 0 && n % 4 === 0 && m > 0 ? 'tile' : 'naive');
  const lanes = variant === 'tile' ? 4 : 1;
  const workgroup = 64;
  const invocations = variant === 'tile' ? (Math.ceil(m / 8) * n) / 4 : m * n;
  const [x, y] = linearGrid(invocations, workgroup, caps);
  const epilogue = Number(bias) + 2 * Number(residual) + 4 * ACTIVATIONS[kind];
  const shared = {
    a_stride: shape.sharedA ? 0 : (m * k) / lanes,
    b_stride: shape.sharedB ? 0 : (k * n) / lanes,
    epilogue,
  };
  const weights = (shape.sharedB ? 1 : batch) * k * n;
  const others = (shape.sharedA ? 1 : batch) * m * k + (residual ? 2 : 1) * batch * m * n + (bias ? n : 0);
  return launch(variant === 'tile' ? tile[weight] : naive, {
    constants: { WG: workgroup },
    params: variant === 'tile' ? { m, k4: k / 4, n4: n / 4, ...shared } : { m, k, n, ...shared },
    workgroups: [x, y, batch],
    cost: { flops: 2 * batch * m * k * n, bytes: 4 * others + (weight === 'f16' ? 2 : 4) * weights },
  });
}
