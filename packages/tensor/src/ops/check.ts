import type { SampleShape } from '@paella/kernels';
import { type DType, sizeOf } from '../dtype.js';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';

/** Operands by name, written out for an error message. */
export function describe(operands: Record<string, Tensor | null | undefined>): Record<string, string> {
  const entries = Object.entries(operands).filter(([, tensor]) => tensor);
  return Object.fromEntries(entries.map(([name, tensor]) => [name, `[${tensor!.shape.join(',')}]`]));
}

/** Throws a `shape` error with the operands written out, unless `ok`. */
export function checkShape(
  ok: boolean,
  op: string,
  expected: string,
  operands: Record<string, Tensor | null | undefined>,
): void {
  if (!ok) throw new PaellaError('shape', `${op}: ${expected}`, { operands: describe(operands) });
}

/** Throws a `dtype` error unless every operand has the element type. */
export function checkDType(
  op: string,
  dtype: DType,
  operands: Record<string, Tensor | null | undefined>,
): void {
  for (const name in operands) {
    const tensor = operands[name];
    if (tensor && tensor.dtype !== dtype) {
      throw new PaellaError('dtype', `${op}: ${name} must be ${dtype}, got ${tensor.toString()}`);
    }
  }
}

/** Resolves a possibly negative axis. Throws `argument` if it is out of range. */
export function resolveAxis(op: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new PaellaError('argument', `${op}: axis ${axis} is outside a tensor of ${rank} dimensions`);
  }
  return resolved;
}

/**
 * How a weight is stored. Throws `dtype` unless it is f32, or f16 with sides that divide by 4, as the kernels
 * that read f16 need.
 */
export function weightType(op: string, weight: Tensor): 'f32' | 'f16' {
  if (weight.dtype === 'f32') return 'f32';
  const [k, n] = weight.shape.slice(-2);
  if (weight.dtype === 'f16' && k % 4 === 0 && n % 4 === 0) return 'f16';
  throw new PaellaError(
    'dtype',
    `${op}: weight must be f32, or f16 of whole vec4s, got ${weight.toString()}`,
  );
}

/** The dimensions between the first and the last are positions. */
export function samplesOf(op: string, x: Tensor): SampleShape {
  checkShape(x.rank >= 2 && x.size > 0, op, 'expects [B,...,C] with at least one element', { input: x });
  return { samples: x.shape[0], positions: sizeOf(x.shape.slice(1, -1)), channels: x.shape[x.rank - 1] };
}
