import { PaellaError } from '../errors.js';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from './half.js';

/** Element types that checkpoints hold, in the spelling this package uses everywhere. */
export type StoredDtype =
  'bool' | 'u8' | 'i8' | 'i16' | 'u16' | 'f16' | 'bf16' | 'i32' | 'u32' | 'f32' | 'f64' | 'i64' | 'u64';

/** The arrays that tensor values come in. */
export type TypedArray =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>;

interface DtypeRow {
  /** Bytes of one element in the file. */
  bytes: number;
  /** The typed array that `get` returns and that writing accepts. */
  array: new (buffer: ArrayBuffer) => TypedArray;
  /** The dtype tag of a safetensors header. */
  safetensors: string;
  /** The storage class a PyTorch pickle names, where it has one. */
  torchStorage?: string;
}

/**
 * One row a type, from the least to the most strictly aligned: the order in which safetensors files are
 * laid out, backwards.
 */
export const DTYPES: Record<StoredDtype, DtypeRow> = {
  bool: { bytes: 1, array: Uint8Array, safetensors: 'BOOL', torchStorage: 'BoolStorage' },
  u8: { bytes: 1, array: Uint8Array, safetensors: 'U8', torchStorage: 'ByteStorage' },
  i8: { bytes: 1, array: Int8Array, safetensors: 'I8', torchStorage: 'CharStorage' },
  i16: { bytes: 2, array: Int16Array, safetensors: 'I16', torchStorage: 'ShortStorage' },
  u16: { bytes: 2, array: Uint16Array, safetensors: 'U16' },
  f16: { bytes: 2, array: Float32Array, safetensors: 'F16', torchStorage: 'HalfStorage' },
  bf16: { bytes: 2, array: Float32Array, safetensors: 'BF16', torchStorage: 'BFloat16Storage' },
  i32: { bytes: 4, array: Int32Array, safetensors: 'I32', torchStorage: 'IntStorage' },
  u32: { bytes: 4, array: Uint32Array, safetensors: 'U32' },
  f32: { bytes: 4, array: Float32Array, safetensors: 'F32', torchStorage: 'FloatStorage' },
  f64: { bytes: 8, array: Float64Array, safetensors: 'F64', torchStorage: 'DoubleStorage' },
  i64: { bytes: 8, array: BigInt64Array, safetensors: 'I64', torchStorage: 'LongStorage' },
  u64: { bytes: 8, array: BigUint64Array, safetensors: 'U64' },
};

const names = Object.keys(DTYPES) as StoredDtype[];

/** The type with that safetensors tag (`F32`), or undefined. */
export const dtypeOfSafetensors = (tag: unknown): StoredDtype | undefined =>
  names.find((name) => DTYPES[name].safetensors === tag);

/** The type of that PyTorch storage class (`FloatStorage`), or undefined. */
export const dtypeOfTorchStorage = (storage: string): StoredDtype | undefined =>
  names.find((name) => DTYPES[name].torchStorage === storage);

/** The type a typed array holds when nothing else is said. */
export function dtypeOfArray(data: TypedArray): StoredDtype {
  // From the most aligned row down, so that Float32Array is found as f32 and Uint8Array as u8.
  const found = names.findLast((name) => data instanceof DTYPES[name].array);
  if (found === undefined) throw new PaellaError('dtype', 'expected a typed array of numbers or bigints');
  return found;
}

export const isFloat = (dtype: StoredDtype): boolean => dtype.startsWith('f') || dtype === 'bf16';

/**
 * Reads little-endian file bytes as values: f16 and bf16 are widened to `Float32Array`, bool is 0 or 1 in a
 * `Uint8Array`, the 64-bit integers are bigints. `bytes` must own its whole buffer, which the result shares
 * where no conversion is needed.
 */
export function decodeValues(dtype: StoredDtype, bytes: Uint8Array<ArrayBuffer>): TypedArray {
  if (dtype === 'f16') return f16ToF32(new Uint16Array(bytes.buffer));
  if (dtype === 'bf16') return bf16ToF32(new Uint16Array(bytes.buffer));
  return new DTYPES[dtype].array(bytes.buffer);
}

/**
 * The little-endian bytes of values stored as `dtype`. Converts between the float types; any other type
 * must come in its own array.
 * @throws PaellaError `dtype` if the array does not fit the type, or a finite value overflows f16.
 */
export function encodeValues(dtype: StoredDtype, data: TypedArray, name: string): Uint8Array<ArrayBuffer> {
  if (isFloat(dtype) && (data instanceof Float32Array || data instanceof Float64Array)) {
    if (dtype === 'f64') return bytesOf(data instanceof Float64Array ? data : new Float64Array(data));
    const f32 = data instanceof Float32Array ? data : new Float32Array(data);
    if (dtype === 'f32') return bytesOf(f32);
    if (dtype === 'bf16') return bytesOf(f32ToBf16(f32));
    const large = firstBeyondF16(f32);
    if (large !== undefined) {
      throw new PaellaError('dtype', `${name} holds ${large}, beyond the largest f16 value 65504`, {
        fix: 'Save it as bf16 or f32',
      });
    }
    return bytesOf(f32ToF16(f32));
  }
  if (isFloat(dtype) || !(data instanceof DTYPES[dtype].array)) {
    const want = isFloat(dtype) ? 'Float32Array or Float64Array' : DTYPES[dtype].array.name;
    throw new PaellaError(
      'dtype',
      `${name}: ${dtype} values come in a ${want}, got ${data.constructor.name}`,
    );
  }
  return bytesOf(data);
}

const bytesOf = (data: TypedArray): Uint8Array<ArrayBuffer> =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** A finite value that rounds to infinity in f16. A plain loop: a callback would take most of a conversion. */
function firstBeyondF16(values: Float32Array): number | undefined {
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (size >= 65520 && size !== Infinity) return values[i];
  }
  return undefined;
}
