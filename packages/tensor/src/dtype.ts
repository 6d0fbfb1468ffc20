import { PaellaError } from './errors.js';

/** Element types a tensor can have. `f16` is storage only: arithmetic is f32. */
export type DType = 'f32' | 'u32' | 'i32';

export type TensorData = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

const ARRAYS = { f32: Float32Array, u32: Uint32Array, i32: Int32Array } as const;

/** Views the bytes of a tensor as numbers. */
export function dataOf(dtype: DType, bytes: ArrayBuffer): TensorData {
  return new ARRAYS[dtype](bytes);
}

/** Numbers as an array of the element type, converted only if need be. */
export function toArray(dtype: DType, data: ArrayLike<number>): TensorData {
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
