import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { watchOperations } from './graph.js';

/** An operation whose result was not finite. */
export interface Anomaly {
  op: string;
  /** Leaves among its operands: with them, parameters tell their names. */
  leaves: Tensor[];
}

/**
 * Finds where numbers stop being finite, as PyTorch's anomaly detection does: runs `fn`, a forward and perhaps a
 * backward pass, and reads the result of every operation in turn. Slow, and holds all results at once: for finding out
 * what went wrong, when something did.
 *
 * @returns the first operation with a result that is infinite or no number, null if there is none
 */
export async function firstNonFinite(fn: () => void): Promise<Anomaly | null> {
  const seen: { op: string; out: Tensor; leaves: Tensor[] }[] = [];
  scope(() =>
    watchOperations((op, out, inputs) => {
      const leaves = inputs.filter((input): input is Tensor => input?.node?.leaf === input && !!input);
      if (out.dtype === 'f32') seen.push({ op, out: out.alias(), leaves });
    }, fn),
  );
  let found: Anomaly | null = null;
  for (const { op, out, leaves } of seen) {
    if (!found && !(await out.data()).every(Number.isFinite)) found = { op, leaves };
    out.dispose();
  }
  return found;
}
