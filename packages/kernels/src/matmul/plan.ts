import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import { ACTIVATIONS, type Activation } from '../shared/activation.js';
import activation from '../shared/activation.wgsl';
import blockNN from '../shared/block_nn.wgsl';
import blockNT from '../shared/block_nt.wgsl';
import linear from '../shared/linear.wgsl';
import rank4 from '../shared/rank4.wgsl';
import tile8 from '../shared/tile8.wgsl';
import weightF16 from '../shared/weight_f16.wgsl';
import weightF32 from '../shared/weight_f32.wgsl';
import naiveSource from './matmul_naive.wgsl';
import tileSource from './matmul.wgsl';
import tnSource from './matmul_tn.wgsl';

const shared = [linear, activation];
const tiles = {
  nn: {
    f32: defineKernel('matmul', ...shared, weightF32, rank4, blockNN, tile8, tileSource),
    f16: defineKernel('matmul_f16', ...shared, weightF16, rank4, blockNN, tile8, tileSource),
  },
  nt: {
    f32: defineKernel('matmul_nt', ...shared, weightF32, rank4, blockNT, tile8, tileSource),
    f16: defineKernel('matmul_nt_f16', ...shared, weightF16, rank4, blockNT, tile8, tileSource),
  },
};
const tn = defineKernel('matmul_tn', linear, tnSource);
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

/** Operands: a [m,k], b [k,n] or with `transposeB` [n,k], bias or null, residual or null, out [m,n]. */
export function planMatmul(
  shape: MatmulShape,
  options: MatmulOptions & { transposeB?: boolean },
  caps: Capabilities,
): Launch {
  const { batch, m, k, n } = shape;
  const { bias = false, residual = false, activation: kind = 'none', weight = 'f32' } = options;
  const { transposeB = false } = options;
  const variant = options.force ?? (k % 4 === 0 && n % 4 === 0 && m * n > 0 ? 'tile' : 'naive');
  const lanes = variant === 'tile' ? 4 : 1;
  const workgroup = 64;
  const invocations = variant === 'tile' ? (Math.ceil(m / 8) * n) / 4 : m * n;
  const [x, y] = linearGrid(invocations, workgroup, caps);
  const epilogue = Number(bias) + 2 * Number(residual) + 4 * ACTIVATIONS[kind];
  const common = {
    a_stride: shape.sharedA ? 0 : (m * k) / lanes,
    b_stride: shape.sharedB ? 0 : (k * n) / lanes,
    epilogue,
  };
  const weights = (shape.sharedB ? 1 : batch) * k * n;
  const others = (shape.sharedA ? 1 : batch) * m * k + (residual ? 2 : 1) * batch * m * n + (bias ? n : 0);
  return launch(variant === 'tile' ? tiles[transposeB ? 'nt' : 'nn'][weight] : naive, {
    constants: { WG: workgroup },
    params:
      variant === 'tile'
        ? { m, k4: k / 4, n4: n / 4, b_row: (transposeB ? k : n) / 4, ...common }
        : { m, k, n, a_strides: [k, 1], b_strides: transposeB ? [1, k] : [n, 1], ...common },
    workgroups: [x, y, batch],
    cost: { flops: 2 * batch * m * k * n, bytes: 4 * others + (weight === 'f16' ? 2 : 4) * weights },
  });
}

export interface MatmulTNOptions {
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: 'tile' | 'naive';
  /** Steps of the contraction in one sum. */
  chunk?: number;
}

/** No sum is longer than this, for accuracy. */
const LONGEST_SUM = 4096;

/**
 * aᵀ·b. Operands: a [batch,k,m], b [batch,k,n], out [batch,chunks,m,n], whose chunks the caller adds.
 *
 * @returns the launch and the number of chunks
 */
export function planMatmulTN(
  { batch, m, k, n }: MatmulShape,
  options: MatmulTNOptions,
  caps: Capabilities,
): { launch: Launch; chunks: number } {
  const cost = { flops: 2 * batch * m * k * n, bytes: 4 * batch * (k * (m + n) + m * n) };
  if ((options.force ?? (m % 4 === 0 && n % 4 === 0 ? 'tile' : 'naive')) === 'naive') {
    const [x, y] = linearGrid(m * n, 64, caps);
    const strides = { a_stride: m * k, b_stride: k * n, a_strides: [1, m], b_strides: [n, 1] };
    const params = { m, k, n, ...strides, epilogue: 0 };
    return {
      launch: launch(naive, { constants: { WG: 64 }, params, workgroups: [x, y, batch], cost }),
      chunks: 1,
    };
  }
  const tileCount = Math.ceil(m / 8) * (n / 4);
  const busy = caps.isSoftware ? 512 : 32768;
  const wanted = Math.max(busy / (tileCount * batch), k / LONGEST_SUM);
  const pieces = Math.ceil(Math.min(wanted, k / 64));
  const chunk = options.chunk ?? Math.ceil(k / Math.max(1, pieces));
  const chunks = Math.max(1, Math.ceil(k / chunk));
  const [x, y] = linearGrid(tileCount, 64, caps);
  return {
    launch: launch(tn, {
      constants: { WG: 64 },
      params: { m4: m / 4, n4: n / 4, k, chunk, chunks },
      workgroups: [x, y, batch * chunks],
      cost: { ...cost, bytes: cost.bytes + 4 * batch * (chunks - 1) * m * n },
    }),
    chunks,
  };
}
