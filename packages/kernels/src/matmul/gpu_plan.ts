/** Matrix products for GPUs: which kernel fits a shape, and its launch. Software adapters have those of `plan.ts`. */
import { type Capabilities, type Cost, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import activation from '../shared/activation.wgsl';
import linear from '../shared/linear.wgsl';
import stagedTile from '../shared/staged_tile.wgsl';
import weightF16 from '../shared/weight_f16.wgsl';
import weightF32 from '../shared/weight_f32.wgsl';
import matrixSource from './matmul_matrix.wgsl';
import sharedSource from './matmul_shared.wgsl';
import sumSource from './matmul_sum.wgsl';
import type { MatmulShape } from './plan.js';

const shared = {
  f32: defineKernel('matmul_shared', linear, activation, weightF32, stagedTile, sharedSource),
  f16: defineKernel('matmul_shared_f16', linear, activation, weightF16, stagedTile, sharedSource),
};
const matrix = defineKernel('matmul_matrix', matrixSource, activation);
const sum = defineKernel('matmul_sum', linear, activation, sumSource);

/**
 * - `shared`: tiles of 64 × 64 in workgroup memory;
 * - `tall`: tiles of 128 × 64, which read less where there are enough of them;
 * - `split`: `shared` over pieces of the contraction, added by a second launch;
 * - `matrix`: subgroup matrices, for adapters and shapes that fit.
 */
export type GpuMatmulVariant = 'shared' | 'tall' | 'split' | 'matrix';

/** How operands are stored, and what follows the product. */
export interface GpuMatmulOptions {
  /** a is [k,m]. */
  transposeA?: boolean;
  /** b is [n,k]. */
  transposeB?: boolean;
  weight?: 'f32' | 'f16';
  /** 1 adds the bias, 2 the residual, and the rest counts activations in fours. */
  epilogue?: number;
}

const TILE = 64;
/** Workgroups that keep a large GPU busy: about a hundred cores, and two each. */
const BUSY = 256;
/** Steps at a time in workgroup memory, and the fewest that are worth a launch of their own. */
const STEPS = 16;
const SHORTEST = 256;

/** The variants that a GPU has for a shape, the one that should be fastest first; none on a software adapter. */
export function gpuMatmulVariants(
  shape: MatmulShape,
  { transposeA, transposeB, weight }: GpuMatmulOptions,
  caps: Capabilities,
): GpuMatmulVariant[] {
  const { m, k, n } = shape;
  const aligned = (transposeA ? m : k) % 4 === 0 && n % 4 === 0 && (!transposeB || k % 4 === 0);
  if (caps.isSoftware || !aligned) return [];
  const tiles = tileCount(shape);
  const variants: GpuMatmulVariant[] = tiles >= 2 * BUSY ? ['tall', 'shared'] : ['shared', 'tall'];
  const plain = !transposeA && !transposeB && weight !== 'f16';
  if (plain && caps.matrixSubgroup > 0 && m % TILE === 0 && n % TILE === 0 && k % 8 === 0) {
    variants.unshift('matrix');
  }
  // A gradient of a weight is cut by its caller.
  if (!transposeA && tiles < BUSY / 2 && k >= 2 * SHORTEST) variants.unshift('split');
  return variants;
}

/** Steps of the contraction that leave enough pieces to keep a GPU busy; whole stages of matmul_shared.wgsl. */
export function gpuChunk(shape: MatmulShape): number {
  const pieces = Math.min(Math.ceil(BUSY / tileCount(shape)), Math.floor(shape.k / SHORTEST));
  return Math.ceil(shape.k / Math.max(1, pieces) / STEPS) * STEPS;
}

const tileCount = ({ batch, m, n }: MatmulShape): number =>
  Math.max(1, batch * Math.ceil(m / TILE) * Math.ceil(n / TILE));

/**
 * Operands: a, b, bias or null, residual or null, out `[batch,chunks,m,n]`. Where there is more than one chunk, the
 * epilogue is left to {@link planMatmulSum}.
 *
 * @param chunk steps of the contraction in one sum; a multiple of 4
 */
export function planSharedMatmul(
  shape: MatmulShape,
  options: GpuMatmulOptions & { tall?: boolean; chunk?: number },
  caps: Capabilities,
): Launch {
  const { batch, m, k, n } = shape;
  const { transposeA = false, transposeB = false, weight = 'f32', tall = false, epilogue = 0 } = options;
  const chunk = options.chunk ?? Math.max(1, k);
  const chunks = Math.max(1, Math.ceil(k / chunk));
  const tiles = Math.ceil(n / TILE) * Math.ceil(m / (tall ? 2 * TILE : TILE));
  const [x, y] = linearGrid(tiles, 1, caps);
  return launch(shared[weight], {
    constants: { WG: tall ? 128 : 64, A_STEPS: transposeA, B_STEPS: !transposeB },
    params: {
      m,
      n4: n / 4,
      k,
      a_row: (transposeA ? m : k) / 4,
      b_row: (transposeB ? k : n) / 4,
      a_stride: shape.sharedA ? 0 : (m * k) / 4,
      b_stride: shape.sharedB ? 0 : (k * n) / 4,
      chunk,
      chunks,
      epilogue: chunks > 1 ? 0 : epilogue,
    },
    workgroups: [x, y, batch * chunks],
    cost: productCost(shape, weight, chunks, chunks > 1 ? 0 : epilogue),
  });
}

/** Operands: a, b, bias or null, residual or null, out `[batch,m,n]`. */
export function planMatrixMatmul(shape: MatmulShape, epilogue: number, caps: Capabilities): Launch {
  const { batch, m, k, n, sharedA, sharedB } = shape;
  const subgroup = caps.matrixSubgroup;
  return launch(matrix, {
    // Four subgroups, as far as every adapter's limit of 256 invocations allows.
    constants: { WG: Math.max(subgroup, Math.min(4 * subgroup, 256)) },
    params: { m, n, k, a_stride: sharedA ? 0 : m * k, b_stride: sharedB ? 0 : k * n, epilogue },
    workgroups: [n / TILE, m / TILE, batch],
    cost: productCost(shape, 'f32', 1, epilogue),
  });
}

/** Operands: parts `[batch,chunks,m,n]`, bias or null, residual or null, out `[batch,m,n]`. */
export function planMatmulSum(
  shape: MatmulShape,
  chunks: number,
  epilogue: number,
  caps: Capabilities,
): Launch {
  const { batch, m, n } = shape;
  const size = (m * n) / 4;
  const [x, y] = linearGrid(size, 64, caps);
  return launch(sum, {
    constants: { WG: 64 },
    params: { size, n4: n / 4, chunks, epilogue },
    workgroups: [x, y, batch],
    cost: {
      flops: batch * chunks * m * n,
      bytes: 4 * batch * (chunks + 1) * m * n + epilogueBytes(shape, epilogue),
    },
  });
}

function productCost(shape: MatmulShape, weight: 'f32' | 'f16', chunks: number, epilogue: number): Cost {
  const { batch, m, k, n, sharedA, sharedB } = shape;
  const weightBytes = (weight === 'f16' ? 2 : 4) * (sharedB ? 1 : batch) * k * n;
  const others = 4 * (sharedA ? 1 : batch) * m * k + 4 * batch * chunks * m * n;
  return { flops: 2 * batch * m * k * n, bytes: others + weightBytes + epilogueBytes(shape, epilogue) };
}

/** Of the bias and of the residual. */
const epilogueBytes = ({ batch, m, n }: MatmulShape, epilogue: number): number =>
  4 * (epilogue & 1) * n + 2 * (epilogue & 2) * batch * m * n;
