import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import linear from '../shared/linear.wgsl';
import source from './embedding.wgsl';

const scalar = defineKernel('embedding', linear, 'alias Word = u32;', source);
const vec4 = defineKernel('embedding_vec4', linear, 'alias Word = vec4u;', source);

export interface EmbeddingShape {
  /** How many indices. */
  count: number;
  /** Rows of the table, at least 1. */
  rows: number;
  /** Length of a row. */
  dim: number;
}

export interface EmbeddingOptions {
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: 'scalar';
}

/** Operands: indices, weight, out. */
export function planEmbedding(shape: EmbeddingShape, options: EmbeddingOptions, caps: Capabilities): Launch {
  const { count, rows, dim } = shape;
  const lanes = dim % 4 === 0 && options.force !== 'scalar' ? 4 : 1;
  const WG = 64;
  const width = dim / lanes;
  return launch(lanes === 4 ? vec4 : scalar, {
    constants: { WG },
    params: { rows, width, size: count * width },
    workgroups: linearGrid(count * width, WG, caps),
    cost: { flops: 0, bytes: 8 * count * dim + 4 * count },
  });
}
