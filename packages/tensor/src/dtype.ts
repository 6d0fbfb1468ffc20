import { PaellaError } from './errors.js';
import { f16ToF32, f32ToF16 } from './io/half.js';

/**
 * Element types a tensor can have. `f16` is for storage: matrix products read their second operand in it, and
 * all arithmetic is f32.
 */
export type DType = 'f32' | 'f16' | 'u32' | 'i32';

export type TensorData = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

const ARRAYS = { f32: Float32Array, u32: Uint32Array, i32: Int32Array } as const;

/** Bytes of an element on the device. */
export const bytesOf = (dtype: DType): number => (dtype === 'f16' ? 2 : 4);

/** Reads the bytes of a tensor as numbers; f16 is widened. */
export function decode(dtype: DType, bytes: ArrayBuffer): TensorData {
  return dtype === 'f16' ? f16ToF32(new Uint16Array(bytes)) : new ARRAYS[dtype](bytes);
}

/** Numbers as the device stores them, converted only if need be. */
export function encode(dtype: DType, data: ArrayLike<number>): TensorData | Uint16Array<ArrayBuffer> {
  if (dtype === 'f16') return f32ToF16(Float32Array.from(data));
  return data instanceof ARRAYS[dtype] && data.buffer instanceof ArrayBuffer
    ? (data as TensorData)
    : new ARRAYS[dtype](data);
}

/** Number of elements of a shape. Throws if a length is not a whole number ≥ 0. */
export function sizeOf(shape: readonly number[]): number {
  let size = 1;
  for (const length of shape) {
    if (!Number.isInteger(length) || length < 0) {
      throw new PaellaError('shape', `a shape holds whole numbers ≥ 0, got [${shape.join(',')}]`);
    }
    size *= length;
  }
  return size;
}
