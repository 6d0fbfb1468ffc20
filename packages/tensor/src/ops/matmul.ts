import {
  type Activation,
  type MatmulOptions,
  type MatmulShape,
  type MatmulTNOptions,
  planMatmul,
  planMatmulTN,
} from '@paella/kernels';
import { needsGrad, record } from '../autograd/graph.js';
import { isAutocast, noGrad } from '../autograd/mode.js';
import { sizeOf } from '../dtype.js';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape, weightType } from './check.js';
import { cast, unary } from './elementwise.js';

type Forced = Pick<MatmulOptions, 'force'>;

/** @internal Runs a product of the operands a, b, bias and residual: two launches where the planner cuts it. */
export function multiply(
  shape: MatmulShape,
  options: MatmulOptions & { transposeB?: boolean },
  [a, b, bias, residual]: readonly [Tensor, Tensor, (Tensor | null)?, (Tensor | null)?],
  out: Tensor,
): void {
  const { device } = out;
  const { launch, split } = planMatmul(shape, options, device.capabilities);
  if (!split) {
    device.run(launch, [a, b, bias ?? null, residual ?? null, out]);
    return;
  }
  using parts = device.empty([shape.batch, split.chunks, shape.m, shape.n]);
  device.run(launch, [a, b, null, null, parts]);
  device.run(split.sum, [parts, bias ?? null, residual ?? null, out]);
}

/**
 * Matrix product over the last two dimensions. Leading dimensions must be equal, or absent from `b`, which
 * then multiplies every row of `a`.
 *
 * @param a `[…,m,k]`
 * @param b `[…,k,n]` or `[k,n]`
 * @returns `[…,m,n]`
 */
export function matmul(a: Tensor, b: Tensor, { force }: Forced = {}): Tensor {
  if (b.rank === 2) return linear(a, b, { force });
  checkDType('matmul', 'f32', { a, b });
  const [m, k] = a.shape.slice(-2);
  const n = b.shape[b.rank - 1];
  const lead = a.shape.slice(0, -2);
  const fits =
    a.rank === b.rank && a.rank > 2 && b.shape[b.rank - 2] === k && lead.every((d, i) => d === b.shape[i]);
  checkShape(fits, 'matmul', 'expects [...,m,k] × [...,k,n]', { a, b });
  const out = a.device.empty([...lead, m, n]);
  const batch = sizeOf(lead);
  multiply({ batch, m, k, n }, { force }, [a, b], out);
  return record('matmul', out, [a, b], [a, b], (grad, [savedA, savedB], needs) => [
    needs[0] ? matmulNT(grad, savedB, { force }) : null,
    needs[1] ? matmulTN(savedA, grad, { force }) : null,
  ]);
}

/**
 * @internal a·bᵀ, which is the gradient of a product's first operand.
 *
 * @param a `[…,m,k]`
 * @param b `[…,n,k]` with the leading dimensions of `a`, or `[n,k]`; then f16 if n and k divide by 4
 * @returns `[…,m,n]`
 */
export function matmulNT(a: Tensor, b: Tensor, { force }: Forced = {}): Tensor {
  const [n, k] = b.shape.slice(-2);
  const shared = b.rank === 2;
  const batch = shared ? 1 : sizeOf(b.shape.slice(0, -2));
  const m = shared ? sizeOf(a.shape.slice(0, -1)) : a.shape[a.rank - 2];
  const out = a.device.empty([...a.shape.slice(0, -1), n]);
  const options = { transposeB: true, weight: weightType('matmul', b), force };
  if (out.size > 0) multiply({ batch, m, k, n }, options, [a, b], out);
  return out;
}

/**
 * @internal aᵀ·b, which is the gradient of a product's second operand: a sum over rows, in a fixed order.
 *
 * @param a `[…,k,m]`
 * @param b `[…,k,n]` with the leading dimensions of `a`
 * @returns `[…,m,n]`
 */
export function matmulTN(a: Tensor, b: Tensor, options: MatmulTNOptions = {}): Tensor {
  const [k, m] = a.shape.slice(-2);
  const n = b.shape[b.rank - 1];
  const lead = a.shape.slice(0, -2);
  const batch = sizeOf(lead);
  const { device } = a;
  // A sum of nothing, or no sums.
  if (a.size === 0 || b.size === 0) return device.zeros([...lead, m, n]);
  const { launch, chunks } = planMatmulTN({ batch, m, k, n }, options, device.capabilities);
  const out = device.empty([batch, chunks, m, n]);
  device.run(launch, [a, b, ...(launch.kernel.bindings.length === 5 ? [null, null] : []), out]);
  return (chunks > 1 ? out.sum(1) : out).reshape([...lead, m, n]);
}

/** @internal The sum of `[…,n]` over all that is before: the gradient `[n]` of a bias. */
export function columnSums(x: Tensor): Tensor {
  const n = x.shape[x.rank - 1];
  return x.size === 0 ? x.device.zeros([n]) : x.reshape([-1, n]).sum(0);
}

export interface LinearOptions {
  /** `[n]` */
  bias?: Tensor | null;
  /** Applied after the bias. */
  activation?: Activation;
  /** Added after the activation; the shape of the result. */
  residual?: Tensor | null;
  /** Overrides the choice of kernel, for tests and benchmarks. */
  force?: MatmulOptions['force'];
}

/**
 * `activation(x·weight + bias) + residual`, in one kernel unless a gradient needs what the activation was applied to.
 *
 * @param x `[…,k]`
 * @param weight `[k,n]`, the transpose of what PyTorch's Linear stores; f16 if k and n divide by 4
 * @returns `[…,n]`
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { bias = null, activation = 'none', residual = null, force } = options;
  const operands = { input: x, weight, bias, residual };
  checkDType('linear', 'f32', { input: x, bias, residual });
  const stored = weightType('linear', weight);
  const [k, n] = weight.shape;
  checkShape(weight.rank === 2 && x.shape[x.rank - 1] === k, 'linear', 'expects [...,k] × [k,n]', operands);
  checkShape(!bias || bias.size === n, 'linear', `expects ${n} biases`, operands);
  const m = x.size / k;
  checkShape(!residual || residual.size === m * n, 'linear', `expects ${m * n} residuals`, operands);
  if (activation !== 'none' && needsGrad(x, weight, bias)) {
    const activated = unary(activation, linear(x, weight, { bias, force }));
    return residual ? activated.add(residual.reshape(activated.shape)) : activated;
  }
  if (isAutocast() && stored === 'f32' && k % 4 === 0 && n % 4 === 0 && needsGrad(weight)) {
    using half = cast(weight, 'f16').keep();
    return linear(x, half, options);
  }
  const out = x.device.empty([...x.shape.slice(0, -1), n]);
  multiply(
    { batch: 1, m, k, n },
    { bias: !!bias, residual: !!residual, activation, weight: stored, force },
    [x, weight, bias, residual],
    out,
  );
  const inputs = [x, weight, bias, residual];
  const kept = isAutocast() && needsGrad(weight) ? noGrad(() => cast(x, 'f16')) : x;
  record('linear', out, inputs, [kept, weight], (grad, saved, needs) => [
    ...linearGradients(grad, saved, needs, { bias, force }),
    needs[3] ? grad.reshape(residual!.shape) : null,
  ]);
  if (kept !== x) kept.dispose();
  return out;
}

/** @internal Gradients of `x·weight + bias`: of x, weight and bias. */
export function linearGradients(
  grad: Tensor,
  [x, weight]: readonly Tensor[],
  needs: readonly boolean[],
  { bias, force }: { bias: Tensor | null } & Forced,
): (Tensor | null)[] {
  const [k, n] = weight.shape.slice(-2);
  const rows = grad.reshape([-1, n]);
  return [
    needs[0] ? matmulNT(rows, weight.reshape([k, n]), { force }).reshape(x.shape) : null,
    needs[1] ? matmulTN(x.to('f32').reshape([-1, k]), rows, { force }).reshape(weight.shape) : null,
    needs[2] ? columnSums(rows).reshape(bias!.shape) : null,
  ];
}
