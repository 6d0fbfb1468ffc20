import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import linear from '../shared/linear.wgsl';
import gradSource from './embedding_grad.wgsl';
import gradNaiveSource from './embedding_grad_naive.wgsl';
import sortSource from './sort_positions.wgsl';
import source from './embedding.wgsl';

const scalar = defineKernel('embedding', linear, 'alias Word = u32;', source);
const vec4 = defineKernel('embedding_vec4', linear, 'alias Word = vec4u;', source);

const sort = defineKernel('sort_positions', sortSource);
const gradScalar = defineKernel('embedding_grad', linear, 'alias T = f32;', gradSource);
const gradVec4 = defineKernel('embedding_grad_vec4', linear, 'alias T = vec4f;', gradSource);
const gradNaive = defineKernel('embedding_grad_naive', linear, gradNaiveSource);

export interface EmbeddingShape {
  /** How many indices. */
  count: number;
  /** Rows of the table, at least 1. */
  rows: number;
  /** Length of a row. */
  dim: number;
}

export interface EmbeddingOptions {
  /** For a part of a table: the index of its first row, and whether more parts follow. */
  part?: { first: number; isLast: boolean };
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: 'scalar';
}

/** Operands: indices, weight, out. */
export function planEmbedding(shape: EmbeddingShape, options: EmbeddingOptions, caps: Capabilities): Launch {
  const { count, rows, dim } = shape;
  const lanes = dim % 4 === 0 && options.force !== 'scalar' ? 4 : 1;
  const WG = 64;
  const width = dim / lanes;
  const { first, isLast } = options.part ?? { first: 0, isLast: true };
  const end = isLast ? 0xffffffff : first + rows - 1;
  return launch(lanes === 4 ? vec4 : scalar, {
    constants: { WG },
    params: { rows, width, size: count * width, first, end },
    workgroups: linearGrid(count * width, WG, caps),
    cost: { flops: 0, bytes: 8 * count * dim + 4 * count },
  });
}

export interface EmbeddingGradPlan {
  /** Operands: indices, ends `[chunks,rows]`, order `[count]`. */
  sort: Launch;
  chunks: number;
  /** Operands: dy, ends, order, out `[rows,dim]`. */
  sum: Launch;
}

/** The gradient of a table, in two launches. */
export function planEmbeddingGrad(
  { count, rows, dim }: EmbeddingShape,
  caps: Capabilities,
): EmbeddingGradPlan {
  const WG = 64;
  const chunk = Math.max(256, Math.ceil(count / 32));
  const chunks = Math.max(1, Math.ceil(count / chunk));
  const lanes = dim % 4 === 0 ? 4 : 1;
  const width = dim / lanes;
  return {
    sort: launch(sort, {
      constants: { WG },
      params: { count, rows, chunk },
      workgroups: [Math.ceil(chunks / WG), 1, 1],
      cost: { flops: 0, bytes: 12 * chunks * rows + 16 * count },
    }),
    chunks,
    sum: launch(lanes === 4 ? gradVec4 : gradScalar, {
      constants: { WG },
      params: { rows, width, chunk, chunks },
      workgroups: linearGrid(rows * width, WG, caps),
      cost: { flops: count * dim, bytes: 4 * (count + rows) * dim + 8 * chunks * rows },
    }),
  };
}

/** The same in one launch that reads every index for every element. Operands: indices, dy, out. */
export function planEmbeddingGradNaive({ count, rows, dim }: EmbeddingShape, caps: Capabilities): Launch {
  return launch(gradNaive, {
    constants: { WG: 64 },
    params: { count, rows, width: dim },
    workgroups: linearGrid(rows * dim, 64, caps),
    cost: { flops: count * rows * dim, bytes: 4 * count * rows * dim },
  });
}
