import {
  type BinaryOp,
  type UnaryOp,
  canCast,
  planAccumulate,
  planBinary,
  planBinaryBroadcast,
  planCast,
  planUnary,
  planUnaryGrad,
} from '@paella/kernels';
import { record } from '../autograd/graph.js';
import type { DType } from '../dtype.js';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape, describe } from './check.js';
import { sumTo } from './layout.js';

/** Applies a function to every element. `alpha` and `beta` are leaky_relu's slope and clamp's bounds. */
export function unary(op: UnaryOp, x: Tensor, alpha = 0, beta = 0): Tensor {
  checkDType(op, 'f32', { input: x });
  const out = x.device.empty(x.shape);
  x.device.run(planUnary(op, x.size, alpha, beta, x.device.capabilities), [x, out]);
  return record(op, out, [x], [x], (grad, [saved]) => {
    const dx = saved.device.empty(saved.shape);
    const plan = planUnaryGrad(op, saved.size, alpha, beta, saved.device.capabilities);
    saved.device.run(plan, [saved, grad, dx]);
    return [dx];
  });
}

/**
 * The same values in another type: f32 and f16 into each other (rounded to nearest), u32 into f32.
 *
 * @throws PaellaError `dtype` for any other conversion
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x.reshape(x.shape);
  const conversion = `${x.dtype} ${dtype}`;
  if (!canCast(conversion)) {
    throw new PaellaError(
      'dtype',
      `cast: from f32 to f16, f16 to f32 or u32 to f32, not ${x.dtype} to ${dtype}`,
    );
  }
  const out = x.device.empty(x.shape, dtype);
  x.device.run(planCast(conversion, x.size, x.device.capabilities), [x, out]);
  return record('cast', out, [x], [], (grad) => [grad]); // gradients are f32, whatever the value is
}

/**
 * Applies a function to two tensors, or a tensor and a number, with NumPy's broadcasting.
 *
 * @throws PaellaError `shape` if the shapes do not broadcast against each other
 */
export function binary(op: BinaryOp, a: Tensor, b: Tensor | number): Tensor {
  const { device } = a;
  if (typeof b === 'number') {
    checkDType(op, 'f32', { input: a });
    const out = device.empty(a.shape);
    device.run(planBinary(op, a.size, b, device.capabilities), [a, null, out]);
    if (isComparison(op)) return out;
    return record(op, out, [a], USES_OPERANDS.has(op) ? [a] : [], (grad, [saved]) => [
      toFirst(op, grad, saved, b),
    ]);
  }
  checkDType(op, 'f32', { input: a, other: b });
  const shape = broadcastShapes(op, a, b);
  const out = device.empty(shape);
  if (a.size === out.size && b.size === out.size) {
    device.run(planBinary(op, out.size, null, device.capabilities), [a, b, out]);
  } else {
    const folded = foldBroadcast(shape, a.shape, b.shape);
    checkShape(folded.shape.length <= 4, op, 'the broadcast needs more than four dimensions', { a, b });
    const pad = (values: number[], fill: number) => [
      ...new Array<number>(4 - values.length).fill(fill),
      ...values,
    ];
    const strides = { a: pad(folded.a, 0), b: pad(folded.b, 0) };
    device.run(planBinaryBroadcast(op, pad(folded.shape, 1), strides, device.capabilities), [a, b, out]);
  }
  if (isComparison(op)) return out;
  const usesOperands = USES_OPERANDS.has(op) || op === 'mul' || op === 'div';
  return record(op, out, [a, b], usesOperands ? [a, b] : [], (grad, [first, second], needs) => [
    needs[0] ? sumTo(toFirst(op, grad, first, second), a.shape) : null,
    needs[1] ? sumTo(toSecond(op, grad, first, second), b.shape) : null,
  ]);
}

/** Flat wherever they have a slope at all, so that there is nothing to record. */
const isComparison = (op: BinaryOp): op is 'gt' | 'eq' => op === 'gt' || op === 'eq';

type DifferentiableOp = Exclude<BinaryOp, 'gt' | 'eq'>;

/** Functions whose gradient depends on where they are computed, also with a number. */
const USES_OPERANDS: ReadonlySet<BinaryOp> = new Set(['maximum', 'minimum', 'pow']);

/** Gradient of the first operand, before sums over what was repeated. Equal operands of a maximum share it. */
function toFirst(op: DifferentiableOp, grad: Tensor, a: Tensor, b: Tensor | number): Tensor {
  switch (op) {
    case 'mul':
    case 'div':
      return binary(op, grad, b);
    case 'maximum':
      return grad.mul(binary('gt', a, b).add(binary('eq', a, b).mul(0.5)));
    case 'minimum':
      return grad.mul(
        binary('gt', a, b)
          .add(binary('eq', a, b).mul(0.5))
          .neg()
          .add(1),
      );
    case 'pow':
      return grad.mul(typeof b === 'number' ? a.pow(b - 1).mul(b) : a.pow(b.sub(1)).mul(b));
    case 'add':
    case 'sub':
      break;
  }
  return grad;
}

function toSecond(op: DifferentiableOp, grad: Tensor, a: Tensor, b: Tensor): Tensor {
  switch (op) {
    case 'add':
      break;
    case 'sub':
      return grad.neg();
    case 'mul':
      return grad.mul(a);
    case 'div':
      return grad.mul(a.div(b)).div(b).neg(); // b² would leave f32's range long before the result does
    case 'maximum':
      return toFirst('minimum', grad, a, b);
    case 'minimum':
      return toFirst('maximum', grad, a, b);
    case 'pow':
      return grad.mul(a.pow(b)).mul(a.log());
  }
  return grad;
}

function broadcastShapes(op: string, a: Tensor, b: Tensor): number[] {
  const rank = Math.max(a.rank, b.rank);
  return Array.from({ length: rank }, (_, i) => {
    const x = a.shape[i - rank + a.rank] ?? 1;
    const y = b.shape[i - rank + b.rank] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new PaellaError('shape', `${op}: the shapes do not broadcast`, { operands: describe({ a, b }) });
    }
    return x === 1 ? y : x;
  });
}

/** Joins neighbouring dimensions along which both operands advance, or repeat, together. */
function foldBroadcast(out: readonly number[], a: readonly number[], b: readonly number[]) {
  const folded = { shape: [] as number[], a: [] as number[], b: [] as number[] };
  let strideA = 1;
  let strideB = 1;
  for (let i = out.length - 1; i >= 0; i--) {
    const lengthA = a[i - out.length + a.length] ?? 1;
    const lengthB = b[i - out.length + b.length] ?? 1;
    if (out[i] === 1) continue;
    const stepA = lengthA === 1 ? 0 : strideA;
    const stepB = lengthB === 1 ? 0 : strideB;
    const joins = (outer: number, inner: number) => outer === inner * folded.shape[0];
    if (folded.shape.length > 0 && joins(stepA, folded.a[0]) && joins(stepB, folded.b[0])) {
      folded.shape[0] *= out[i];
    } else {
      folded.shape.unshift(out[i]);
      folded.a.unshift(stepA);
      folded.b.unshift(stepB);
    }
    strideA *= lengthA;
    strideB *= lengthB;
  }
  return folded;
}

/**
 * @internal Adds `x` to what `out` holds, in place, or with `fresh` writes it there.
 *
 * @param out, x f32 of one size
 */
export function accumulate(out: Tensor, x: Tensor, { fresh }: { fresh: boolean }): void {
  out.overwritten();
  out.device.run(planAccumulate(x.size, { fresh }, out.device.capabilities), [x, out]);
}
