import {
  type ReduceOp,
  type ReducePlanOptions,
  type ReduceShape,
  planArgmax,
  planReduce,
} from '@paella/kernels';
import { record } from '../autograd/graph.js';
import { noGrad } from '../autograd/mode.js';
import { sizeOf } from '../dtype.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape, resolveAxis } from './check.js';
import { binary } from './elementwise.js';
import { expand } from './layout.js';

export interface ReduceOptions {
  /** Keeps the reduced dimensions, with length 1. */
  keepdim?: boolean;
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: ReducePlanOptions['force'];
}

/**
 * Sum, mean, largest or smallest element over some axes. Long reductions run as several passes, so that a sum
 * of millions of numbers is neither serial nor inaccurate; the result does not depend on scheduling.
 *
 * @param x f32 of any shape
 * @param axis one axis, several, or (absent) all of them; negative ones count from the end
 * @returns the shape of `x` without the axes, or with length 1 there (`keepdim`)
 * @throws PaellaError `argument` for an axis out of range, `shape` if nothing is left to reduce over
 */
export function reduce(
  op: ReduceOp,
  x: Tensor,
  axis?: number | readonly number[],
  { keepdim = false, force }: ReduceOptions = {},
): Tensor {
  checkDType(op, 'f32', { input: x });
  const axes = typeof axis === 'number' ? [axis] : (axis ?? x.shape.map((_, i) => i));
  const reduced = new Set(axes.map((one) => resolveAxis(op, one, x.rank)));
  const kept = x.shape.filter((_, i) => !reduced.has(i));
  const outShape = keepdim ? x.shape.map((length, i) => (reduced.has(i) ? 1 : length)) : kept;
  checkShape(
    sizeOf(kept) === 0 || x.size > 0,
    op,
    'expects at least one element along the axes that it reduces',
    { input: x },
  );
  let current = x;
  for (const shape of runsOf(x.shape, reduced)) {
    for (const { launch, size } of planReduce(op, shape, { force }, x.device.capabilities)) {
      const next = x.device.empty([size]);
      x.device.run(launch, [current, next]);
      if (current !== x) current.dispose();
      current = next;
    }
  }
  const out = noGrad(() => current.reshape(outShape));
  if (current !== x) current.dispose();
  const kept1 = x.shape.map((length, i) => (reduced.has(i) ? 1 : length));
  const linear = op === 'sum' || op === 'mean';
  return record(op, out, [x], linear ? [] : [x, out], (grad, [saved, best]) => {
    const wide = grad.reshape(kept1);
    if (op === 'sum') return [expand(wide, x.shape)];
    if (op === 'mean') return [expand(wide.mul(out.size / x.size), x.shape)];
    // Elements that are equally large share the gradient.
    const hits = binary('eq', saved, best.reshape(kept1));
    return [hits.mul(wide.div(reduce('sum', hits, [...reduced], { keepdim: true })))];
  });
}

/**
 * Position of the largest value along an axis; the first one where several are equal.
 *
 * @param x f32 of any shape
 * @returns u32, the shape of `x` without the axis
 */
export function argmax(x: Tensor, axis = -1): Tensor {
  checkDType('argmax', 'f32', { input: x });
  const at = resolveAxis('argmax', axis, x.rank);
  checkShape(x.shape[at] > 0, 'argmax', 'expects at least one element along the axis', { input: x });
  const out = x.device.empty(
    x.shape.filter((_, i) => i !== at),
    'u32',
  );
  x.device.run(planArgmax(aroundAxis(x.shape, at), x.device.capabilities), [x, out]);
  return out;
}

/** A shape seen as the dimensions before an axis, the axis, and those after it. */
export function aroundAxis(shape: readonly number[], axis: number): ReduceShape {
  return { outer: sizeOf(shape.slice(0, axis)), length: shape[axis], inner: sizeOf(shape.slice(axis + 1)) };
}

/**
 * What to reduce, one run of neighbouring axes after the other, the last run first: reducing it leaves the
 * positions of the runs before it alone. Axes of length 1 join their neighbours, so that they split no run.
 */
function runsOf(shape: readonly number[], reduced: ReadonlySet<number>): ReduceShape[] {
  const runs: ReduceShape[] = [];
  let inner = 1;
  let end = shape.length;
  while (end > 0) {
    if (!reduced.has(end - 1)) {
      inner *= shape[--end];
      continue;
    }
    let start = end;
    let length = 1;
    while (start > 0 && (reduced.has(start - 1) || shape[start - 1] === 1)) length *= shape[--start];
    runs.push({ outer: sizeOf(shape.slice(0, start)), length, inner });
    end = start;
  }
  return runs;
}
