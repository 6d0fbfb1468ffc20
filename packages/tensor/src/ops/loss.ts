import { type CrossEntropyPlanOptions, planCrossEntropy } from '@paella/kernels';
import { needsGrad, record } from '../autograd/graph.js';
import { noGrad } from '../autograd/mode.js';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { scope } from '../scope.js';
import { checkDType, checkShape, weightType } from './check.js';
import { accumulate } from './elementwise.js';
import { cat } from './layout.js';
import { linear, matmulNT, matmulTN } from './matmul.js';

/**
 * Cross-entropy of every position, as PyTorch's with `reduction='none'`:
 * `(1 − s)·(−log p[target]) + s·mean(−log p)` with p the softmax over the last dimension.
 *
 * @param logits `[…,classes]`
 * @param target u32 `[…]`; a class past the end counts as the last one
 * @param options.labelSmoothing s, from 0 to 1
 * @returns f32 `[…]`
 */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  { labelSmoothing = 0, force }: { labelSmoothing?: number; force?: CrossEntropyPlanOptions['force'] } = {},
): Tensor {
  const operands = { logits, target };
  checkDType('crossEntropy', 'f32', { logits });
  checkDType('crossEntropy', 'u32', { target });
  const classes = logits.shape[logits.rank - 1];
  const fits =
    logits.rank === target.rank + 1 && target.shape.every((length, i) => length === logits.shape[i]);
  checkShape(
    fits && classes > 0,
    'crossEntropy',
    'expects logits [...,classes] and a target [...]',
    operands,
  );
  checkSmoothing('crossEntropy', labelSmoothing);
  const { device } = logits;
  const run = (x: Tensor, labels: Tensor, scales: Tensor | null): Tensor => {
    const rows = device.empty([target.size, 2]);
    const options = { smoothing: labelSmoothing, force, gradient: scales !== null };
    const plan = planCrossEntropy(target.size, classes, options, device.capabilities);
    if (target.size > 0) device.run(plan, [x, labels, scales, rows]);
    return rows;
  };
  const out = noGrad(() => scope(() => run(logits, target, null).slice(1, 0, 1).reshape(target.shape)));
  return record('crossEntropy', out, [logits], [logits, target], (grad, [saved, labels]) => {
    const dx = device.empty(saved.shape);
    dx.assign(saved); // the kernel overwrites logits by their gradient
    run(dx, labels, grad);
    return [dx];
  });
}

function checkSmoothing(op: string, labelSmoothing: number): void {
  if (labelSmoothing >= 0 && labelSmoothing <= 1) return;
  throw new PaellaError('argument', `${op}: labelSmoothing must be in [0,1], got ${labelSmoothing}`);
}

/** Bytes of logits that exist at a time. */
const LOGITS_AT_A_TIME = 16 << 20;

export interface LinearCrossEntropyOptions {
  /** f32, the shape of `target`: what each position counts; by default all count equally, 1 together. */
  rowWeights?: Tensor;
  /** From 0 to 1; 0 by default. */
  labelSmoothing?: number;
  /** Positions at a time, at least 1, for tests. */
  chunkRows?: number;
  force?: CrossEntropyPlanOptions['force'];
}

/**
 * Cross-entropy of `h·weight`, a model's last layer and its loss in one, so that the logits never exist all at once:
 * they are computed for some rows, turned into the loss and, if wanted, into gradients at once, and dropped.
 * `Σ rowWeights · crossEntropy(h·weight, target)`.
 *
 * @param h `[…,c]`
 * @param weight `[c,classes]`, as for {@link linear}
 * @param target u32 `[…]`; a class past the end counts as the last one
 * @returns the scalar `loss`, which is differentiable; and for every position, not differentiable, `rows`, its
 *   cross-entropy, and `correct`, 1 where the target has the largest logit
 * @throws PaellaError `shape` if operands do not fit together, `argument` for labelSmoothing outside of [0,1]
 */
export function linearCrossEntropy(
  h: Tensor,
  weight: Tensor,
  target: Tensor,
  options: LinearCrossEntropyOptions = {},
): { loss: Tensor; rows: Tensor; correct: Tensor } {
  const { rowWeights, labelSmoothing: smoothing = 0, force } = options;
  checkDType('linearCrossEntropy', 'f32', { h, rowWeights });
  checkDType('linearCrossEntropy', 'u32', { target });
  weightType('linearCrossEntropy', weight);
  checkSmoothing('linearCrossEntropy', smoothing);
  const [c, classes] = weight.shape;
  const operands = { h, weight, target, rowWeights };
  const count = target.size;
  const same = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join();
  const fits = weight.rank === 2 && same(h.shape, [...target.shape, c]) && h.size > 0 && classes > 0;
  checkShape(fits, 'linearCrossEntropy', 'expects h [...,c], weight [c,classes] and target [...]', operands);
  const weighs = !rowWeights || same(rowWeights.shape, target.shape);
  checkShape(weighs, 'linearCrossEntropy', 'expects rowWeights of the shape of target', operands);
  const { device } = h;
  const [toH, toWeight] = [needsGrad(h), needsGrad(weight)];
  const gradient = toH || toWeight;
  const chunk = Math.max(1, options.chunkRows ?? Math.floor(LOGITS_AT_A_TIME / (4 * classes)));

  const result = noGrad(() =>
    scope(() => {
      const flat = h.reshape([count, c]);
      const labels = target.reshape([count]);
      const scales = (rowWeights ?? device.full([count], 1 / count)).reshape([count]);
      const partsOfH: Tensor[] = [];
      const terms: Tensor[] = [];
      let dWeight: Tensor | null = null;
      for (let start = 0; start < count; start += chunk) {
        const part = (x: Tensor): Tensor => (count <= chunk ? x : x.slice(0, start, start + chunk));
        const { dh, dw, out } = scope(() => {
          const own = part(flat);
          const logits = linear(own, weight);
          const rows = logits.shape[0];
          const both = device.empty([rows, 2]);
          const plan = planCrossEntropy(rows, classes, { smoothing, force, gradient }, device.capabilities);
          device.run(plan, [logits, part(labels), part(scales), both]);
          return {
            dh: toH ? matmulNT(logits, weight) : null,
            dw: toWeight ? matmulTN(own, logits) : null,
            out: both,
          };
        });
        terms.push(out);
        if (dh) partsOfH.push(dh);
        if (dWeight && dw) {
          accumulate(dWeight, dw, { fresh: false });
          dw.dispose();
        } else dWeight = dw;
      }
      const join = (parts: Tensor[]): Tensor => (parts.length > 1 ? cat(parts, 0) : parts[0]);
      const both = join(terms);
      const rows = both.slice(1, 0, 1).reshape(target.shape);
      return {
        loss: rows.mul(scales.reshape(target.shape)).sum(),
        rows,
        correct: both.slice(1, 1, 2).reshape(target.shape),
        dh: toH ? join(partsOfH).reshape(h.shape) : null,
        dWeight,
      };
    }),
  );
  const { dh, dWeight, ...out } = result;
  const factors = [dh, dWeight, rowWeights && needsGrad(rowWeights) ? out.rows : null];
  const present = factors.map((one) => one !== null);
  const saved = factors.filter((one) => one !== null);
  record('linearCrossEntropy', out.loss, [h, weight, rowWeights], saved, (grad, kept) => {
    const rest = [...kept];
    return present.map((one) => (one ? rest.shift()!.mul(grad) : null));
  });
  dh?.dispose();
  dWeight?.dispose();
  return out;
}
