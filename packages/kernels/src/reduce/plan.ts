import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import { LANES, inLanes, lanesFor } from '../shared/lanes.js';
import linear from '../shared/linear.wgsl';
import { type TeamForce, defineTeam, teamOf } from '../shared/team.js';
import argmaxSource from './argmax.wgsl';
import reduceSource from './reduce.wgsl';

const kernels = {
  scalar: defineTeam('reduce', linear, LANES.scalar, reduceSource),
  rows: defineTeam('reduce_rows', linear, LANES.rows, reduceSource),
  columns: defineTeam('reduce_columns', linear, LANES.columns, reduceSource),
};
const argmax = defineKernel('argmax', linear, argmaxSource);

const WG = 64;

/** An array whose middle dimension is reduced. */
export interface ReduceShape {
  outer: number;
  length: number;
  inner: number;
}

export type ReduceOp = 'sum' | 'mean' | 'max' | 'min';

export interface ReducePlanOptions {
  /** Squares every element before the first pass. */
  square?: boolean;
  /** `naive` is also in one pass. */
  force?: TeamForce;
}

/** One launch (operands: x, out) and the number of elements it writes. */
export interface ReducePass {
  launch: Launch;
  size: number;
}

/** No invocation adds up more than this many loads, for speed and for accuracy. */
const LONGEST = 4096;
/** Shorter reductions are never split. */
const SHORTEST = 64;

/** How the reduced dimension is cut: `count` pieces of `length` elements, the last one of what is left. */
export interface Chunks {
  count: number;
  length: number;
}

/** Cuts a long dimension so that few results still keep the adapter busy; whole vec4s to a piece. */
export function chunksOf({ outer, length, inner }: ReduceShape, caps: Capabilities): Chunks {
  const busy = caps.isSoftware ? 256 : 8192;
  const wanted = Math.max(busy / Math.max(1, outer * inner), length / LONGEST);
  const count = Math.ceil(Math.min(wanted, length / SHORTEST));
  if (count <= 1) return { count: 1, length };
  const piece = Math.ceil(length / count / 4) * 4;
  return { count: Math.ceil(length / piece), length: piece };
}

/** The passes of a reduction: the first reads x, each later one what the one before it wrote. */
export function planReduce(
  op: ReduceOp,
  shape: ReduceShape,
  options: ReducePlanOptions,
  caps: Capabilities,
): ReducePass[] {
  const passes: ReducePass[] = [];
  let left = shape;
  do {
    const chunks = options.force === 'naive' ? { count: 1, length: left.length } : chunksOf(left, caps);
    const square = !!options.square && passes.length === 0;
    const after = op === 'min' ? -1 : op === 'mean' && chunks.count === 1 ? 1 / shape.length : 1;
    passes.push({
      launch: planPass(op, left, { chunks, square, after, force: options.force }, caps),
      size: left.outer * chunks.count * left.inner,
    });
    left = { ...left, length: chunks.count };
  } while (left.length > 1);
  return passes;
}

/** Operands: x `[outer,length,inner]`, out `[outer,chunks,inner]`: the sums of the squares of each chunk. */
export function planSquareSums(shape: ReduceShape, chunks: Chunks, caps: Capabilities): Launch {
  return planPass('sum', shape, { chunks, square: true, after: 1 }, caps);
}

function planPass(
  op: ReduceOp,
  shape: ReduceShape,
  options: { chunks: Chunks; square: boolean; after: number; force?: ReducePlanOptions['force'] },
  caps: Capabilities,
): Launch {
  const { chunks, square, after, force } = options;
  const { outer } = shape;
  const lanes = force === 'naive' ? 'scalar' : lanesFor(shape.length, shape.inner);
  const { length, inner } = inLanes(lanes, shape.length, shape.inner);
  // Rows that lie one after the other are read side by side by a workgroup; on a CPU that gains nothing.
  const pays = shape.inner === 1 && chunks.length >= 256;
  const { kernel, TEAM } = teamOf(kernels[lanes], WG, pays, force, caps);
  const size = outer * shape.length * shape.inner;
  return launch(kernel, {
    constants: { WG, TEAM, MAX: op === 'max' || op === 'min', SQUARE: square },
    params: {
      outer,
      length,
      inner,
      chunks: chunks.count,
      chunk: lanes === 'rows' ? chunks.length / 4 : chunks.length,
      before: op === 'min' ? -1 : 1,
      after,
    },
    workgroups: linearGrid(outer * chunks.count * inner * TEAM, WG, caps),
    cost: { flops: size, bytes: 4 * (size + outer * chunks.count * shape.inner) },
  });
}

/** Operands: x, out (u32). */
export function planArgmax({ outer, length, inner }: ReduceShape, caps: Capabilities): Launch {
  return launch(argmax, {
    constants: { WG },
    params: { outer, length, inner },
    workgroups: linearGrid(outer * inner, WG, caps),
    cost: { flops: outer * length * inner, bytes: 4 * outer * (length + 1) * inner },
  });
}
