import { type CopyShape, MAX_COPY_RANK, foldCopy, planCopy } from '@paella/kernels';
import { record } from '../autograd/graph.js';
import { sizeOf } from '../dtype.js';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape, resolveAxis } from './check.js';

/**
 * Another shape over the same memory. Nothing is copied: the result and `x` share their values, and the
 * memory is freed when both are.
 *
 * @param shape of the same size; one length may be -1 and is worked out from the others
 * @throws PaellaError `shape` if the sizes differ
 */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  const known = shape.filter((length) => length !== -1);
  const rest = sizeOf(known);
  const missing = shape.length - known.length;
  const fits = missing === 0 ? rest === x.size : missing === 1 && rest > 0 && x.size % rest === 0;
  checkShape(fits, 'reshape', `cannot make [${shape.join(',')}] of ${x.size} elements`, { input: x });
  const resolved = shape.map((length) => (length === -1 ? x.size / rest : length));
  return record('reshape', x.device.view(x, resolved), [x], [], (grad) => [grad.reshape(x.shape)]);
}

/**
 * Reorders dimensions: dimension `i` of the result is dimension `axes[i]` of `x`. A copy, unless only
 * dimensions of length 1 move.
 *
 * @param axes every axis of `x` once; negative ones count from the end
 * @throws PaellaError `argument` if `axes` is no permutation, or needs more than six dimensions
 */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const order = axes.map((axis) => resolveAxis('permute', axis, x.rank));
  if (new Set(order).size !== x.rank || order.length !== x.rank) {
    throw new PaellaError('argument', `permute: [${axes.join(',')}] must name each of ${x.rank} axes once`);
  }
  const shape = order.map((axis) => x.shape[axis]);
  return permuted('permute', x, x.shape, order, shape);
}

/** Swaps two dimensions. A copy, unless one of them has length 1 and nothing lies between. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  const first = resolveAxis('transpose', a, x.rank);
  const second = resolveAxis('transpose', b, x.rank);
  const order = x.shape.map((_, axis) => (axis === first ? second : axis === second ? first : axis));
  const shape = order.map((axis) => x.shape[axis]);
  return permuted('transpose', x, x.shape, order, shape);
}

/**
 * Elements `start` to `end` (exclusive) along an axis, as a copy.
 *
 * @param start negative positions count from the end, and positions outside are clamped, as in `Array.slice`
 * @param end defaults to the length of the axis
 */
export function slice(x: Tensor, axis: number, start: number, end?: number): Tensor {
  const at = resolveAxis('slice', axis, x.rank);
  const length = x.shape[at];
  const position = (value: number) => Math.min(Math.max(value < 0 ? value + length : value, 0), length);
  const from = position(start);
  const to = position(end ?? length);
  if (!Number.isInteger(from) || !Number.isInteger(to)) {
    throw new PaellaError('argument', `slice: positions are whole numbers, got ${start} and ${end}`);
  }
  const shape = x.shape.map((size, i) => (i === at ? Math.max(0, to - from) : size));
  const strides = stridesOf(x.shape);
  const view = {
    shape,
    from: { strides, offset: from * strides[at] },
    to: { strides: stridesOf(shape), offset: 0 },
  };
  return gather('slice', x, view, shape, (grad) => {
    const zeros = (count: number): Tensor[] =>
      count > 0 ? [x.device.zeros(x.shape.map((size, i) => (i === at ? count : size)))] : [];
    return cat([...zeros(from), grad, ...zeros(length - to)], at);
  });
}

/**
 * Repeats a tensor along dimensions of length 1, and along new ones in front, as PyTorch's `expand`; a copy.
 *
 * @param shape which the shape of `x` broadcasts to
 * @throws PaellaError `shape` if it does not
 */
export function expand(x: Tensor, shape: readonly number[]): Tensor {
  const lead = shape.length - x.rank;
  const fits = lead >= 0 && x.shape.every((length, i) => length === 1 || length === shape[i + lead]);
  checkShape(fits, 'expand', `cannot repeat to [${shape.join(',')}]`, { input: x });
  const own = stridesOf(x.shape);
  const strides = shape.map((_, i) => (i < lead || x.shape[i - lead] === 1 ? 0 : own[i - lead]));
  const view = {
    shape,
    from: { strides, offset: 0 },
    to: { strides: stridesOf(shape), offset: 0 },
  };
  return gather('expand', x, view, shape, (grad) => sumTo(grad, x.shape));
}

/** Sums over what broadcasting repeated: the gradient of an operand of shape `shape`. */
export function sumTo(grad: Tensor, shape: readonly number[]): Tensor {
  const lead = grad.rank - shape.length;
  const axes = grad.shape.flatMap((length, i) =>
    i < lead || (shape[i - lead] === 1 && length > 1) ? [i] : [],
  );
  return axes.length === 0 ? grad : grad.sum(axes, { keepdim: true }).reshape(shape);
}

/**
 * Joins tensors along an axis.
 *
 * @param tensors at least one; of one type, and of one shape but for the axis
 */
export function cat(tensors: readonly Tensor[], axis = -1): Tensor {
  if (tensors.length === 0) throw new PaellaError('argument', 'cat: needs at least one tensor');
  const [first] = tensors;
  const operands = Object.fromEntries(tensors.map((tensor, i) => [`tensor ${i}`, tensor]));
  const at = resolveAxis('cat', axis, first.rank);
  const alike = (x: Tensor) =>
    x.rank === first.rank && x.shape.every((length, i) => i === at || length === first.shape[i]);
  checkShape(tensors.every(alike), 'cat', `shapes may differ only along axis ${at}`, operands);
  checkDType('cat', first.dtype, operands);
  checkWords('cat', first);
  const total = tensors.reduce((sum, x) => sum + x.shape[at], 0);
  const shape = first.shape.map((length, i) => (i === at ? total : length));
  const { device } = first;
  const out = device.empty(shape, first.dtype);
  const strides = stridesOf(shape);
  let start = 0;
  for (const x of tensors) {
    const view = {
      shape: x.shape,
      from: { strides: stridesOf(x.shape), offset: 0 },
      to: { strides, offset: start * strides[at] },
    };
    checkFold('cat', view);
    if (x.size > 0) device.run(planCopy(view, {}, device.capabilities), [x, out]);
    start += x.shape[at];
  }
  return record('cat', out, tensors, [], (grad, _, needs) => {
    let end = 0;
    return tensors.map(({ shape: { [at]: length } }, i) => {
      end += length;
      return needs[i] ? slice(grad, at, end - length, end) : null;
    });
  });
}

/**
 * Spreads blocks of channels over space, PyTorch's `PixelShuffle` on channels-last data:
 * `out[b, i·r + dy, j·r + dx, c] = x[b, i, j, c·r² + dy·r + dx]`.
 *
 * @param x `[b,h,w,c·r²]`
 * @param factor r
 * @returns `[b,h·r,w·r,c]`
 */
export function pixelShuffle(x: Tensor, factor: number): Tensor {
  checkFactor('pixelShuffle', factor);
  const [b, h, w, channels] = x.shape;
  const c = channels / factor ** 2;
  const fits = x.rank === 4 && Number.isInteger(c);
  checkShape(fits, 'pixelShuffle', `expects [b,h,w,c] with c divisible by ${factor ** 2}`, { input: x });
  const view = [b, h, w, c, factor, factor];
  return permuted('pixelShuffle', x, view, [0, 1, 4, 2, 5, 3], [b, h * factor, w * factor, c]);
}

/**
 * Gathers squares of pixels into channels, PyTorch's `PixelUnshuffle` on channels-last data and the inverse
 * of {@link pixelShuffle}: `out[b, i, j, c·r² + dy·r + dx] = x[b, i·r + dy, j·r + dx, c]`.
 *
 * @param x `[b,h·r,w·r,c]`
 * @param factor r
 * @returns `[b,h,w,c·r²]`
 */
export function pixelUnshuffle(x: Tensor, factor: number): Tensor {
  checkFactor('pixelUnshuffle', factor);
  const [b, height, width, c] = x.shape;
  const h = height / factor;
  const w = width / factor;
  const fits = x.rank === 4 && Number.isInteger(h) && Number.isInteger(w);
  checkShape(fits, 'pixelUnshuffle', `expects [b,h,w,c] with h and w divisible by ${factor}`, { input: x });
  const view = [b, h, factor, w, factor, c];
  return permuted('pixelUnshuffle', x, view, [0, 1, 3, 5, 2, 4], [b, h, w, c * factor ** 2]);
}

/** Row-major strides in elements. */
function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

/** Looks at `x` as `view`, reorders that by `order`, and names the result `shape`. */
function permuted(
  op: string,
  x: Tensor,
  view: readonly number[],
  order: readonly number[],
  shape: readonly number[],
): Tensor {
  const from = stridesOf(view);
  const lengths = order.map((axis) => view[axis]);
  const copy = {
    shape: lengths,
    from: { strides: order.map((axis) => from[axis]), offset: 0 },
    to: { strides: stridesOf(lengths), offset: 0 },
  };
  return gather(op, x, copy, shape, (grad) => {
    const back = view.map((_, i) => order.indexOf(i));
    return permuted(op, grad, lengths, back, x.shape);
  });
}

/** Copies a view of `x` into a new tensor, or shares `x` where the view is all of it in its own order. */
function gather(
  op: string,
  x: Tensor,
  view: CopyShape,
  shape: readonly number[],
  gradient: (grad: Tensor) => Tensor,
): Tensor {
  const folded = checkFold(op, view);
  const moves = folded.from.strides.some((stride, i) => stride !== folded.to.strides[i]);
  if (!moves && sizeOf(shape) === x.size) return reshape(x, shape);
  checkWords(op, x);
  const out = x.device.empty(shape, x.dtype);
  if (out.size > 0) x.device.run(planCopy(view, {}, x.device.capabilities), [x, out]);
  return record(op, out, [x], [], (grad) => [gradient(grad)]);
}

/** Copies move whole words, and two f16 values share one. */
function checkWords(op: string, x: Tensor): void {
  if (x.dtype === 'f16') {
    const fix = "Convert with to('f32') first.";
    throw new PaellaError('dtype', `${op}: elements must be 32 bits wide, got ${x.toString()}`, { fix });
  }
}

function checkFold(op: string, view: CopyShape): CopyShape {
  const folded = foldCopy(view);
  if (folded.shape.length > MAX_COPY_RANK) {
    throw new PaellaError('argument', `${op}: moves more than ${MAX_COPY_RANK} dimensions apart`, {
      fix: 'Join neighbouring dimensions with reshape() first, or do it in two steps.',
    });
  }
  return folded;
}

function checkFactor(op: string, factor: number): void {
  if (!Number.isInteger(factor) || factor < 1) {
    throw new PaellaError('argument', `${op}: the factor is a whole number ≥ 1, got ${factor}`);
  }
}
