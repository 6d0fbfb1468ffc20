import { type Activation, type MatmulOptions, planMatmul } from '@paella/kernels';
import type { Tensor } from '../tensor.js';
import { checkDType, checkShape, weightType } from './check.js';

/**
 * Matrix product over the last two dimensions. Leading dimensions must be equal, or absent from `b`, which
 * then multiplies every row of `a`.
 *
 * @param a `[…,m,k]`
 * @param b `[…,k,n]` or `[k,n]`
 * @returns `[…,m,n]`
 */
export function matmul(a: Tensor, b: Tensor, { force }: Pick<MatmulOptions, 'force'> = {}): Tensor {
  if (b.rank === 2) return linear(a, b, { force });
  checkDType('matmul', 'f32', { a, b });
  const [m, k] = a.shape.slice(-2);
  const n = b.shape[b.rank - 1];
  const lead = a.shape.slice(0, -2);
  const fits =
    a.rank === b.rank && a.rank > 2 && b.shape[b.rank - 2] === k && lead.every((d, i) => d === b.shape[i]);
  checkShape(fits, 'matmul', 'expects [...,m,k] × [...,k,n]', { a, b });
  const out = a.device.empty([...lead, m, n]);
  const batch = lead.reduce((product, length) => product * length, 1);
  a.device.run(planMatmul({ batch, m, k, n }, { force }, a.device.capabilities), [a, b, null, null, out]);
  return out;
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
 * `activation(x·weight + bias) + residual` in one kernel.
 *
 * @param x `[…,k]`
 * @param weight `[k,n]`, the transpose of what PyTorch's Linear stores; f16 if k and n divide by 4
 * @returns `[…,n]`
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { bias = null, activation, residual = null, force } = options;
  const operands = { input: x, weight, bias, residual };
  checkDType('linear', 'f32', { input: x, bias, residual });
  const stored = weightType('linear', weight);
  const [k, n] = weight.shape;
  checkShape(weight.rank === 2 && x.shape[x.rank - 1] === k, 'linear', 'expects [...,k] × [k,n]', operands);
  checkShape(!bias || bias.size === n, 'linear', `expects ${n} biases`, operands);
  const m = x.size / k;
  checkShape(!residual || residual.size === m * n, 'linear', `expects ${m * n} residuals`, operands);
  const out = x.device.empty([...x.shape.slice(0, -1), n]);
  const plan = planMatmul(
    { batch: 1, m, k, n },
    { bias: !!bias, residual: !!residual, activation, weight: stored, force },
    x.device.capabilities,
  );
  x.device.run(plan, [x, weight, bias, residual, out]);
  return out;
}
