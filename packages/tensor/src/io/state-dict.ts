import { PaellaError } from '../errors.js';
import { DTYPES, dtypeOfArray, type StoredDtype, type TypedArray } from './dtype.js';

/** What is known of a tensor without reading its values. */
export interface TensorInfo {
  shape: number[];
  dtype: StoredDtype;
}

/**
 * A tensor's values on the host, row-major. `dtype` is the type it is stored as; `data` holds f16 and bf16
 * widened to `Float32Array`, bool as 0/1 in a `Uint8Array`, 64-bit integers as bigints.
 */
export interface StoredTensor extends TensorInfo {
  data: TypedArray;
}

/** Named tensors that are read one at a time, when asked for. */
export interface StateDict {
  keys(): string[];
  /** @throws PaellaError `not-found` for an unknown key. */
  info(key: string): TensorInfo;
  /** Reads one tensor; each call reads it anew and the caller owns the array. */
  get(key: string): Promise<StoredTensor>;
  /** Scalars kept beside the tensors: `iter`, `epoch`, the text fields of a safetensors header. */
  readonly metadata?: Metadata;
  /** Lets go of the file. Optional: a file that is no longer referred to is closed by itself. */
  close?(): Promise<void>;
}

export type Metadata = Record<string, string | number | boolean>;

/** A tensor to write: `dtype` defaults to the array's own, and may be f16 or bf16 for a `Float32Array`. */
export interface NamedTensor {
  shape: readonly number[];
  data: TypedArray;
  dtype?: StoredDtype;
}

/** One tensor of a file: its description, and how to read it. */
export interface TensorReader extends TensorInfo {
  read(): Promise<TypedArray>;
}

/** A state dict over readers; `origin` names the file in errors. */
export function stateDictOfReaders(
  origin: string,
  readers: Map<string, TensorReader>,
  rest: { metadata?: Metadata; close?: () => Promise<void> } = {},
): StateDict {
  const find = (key: string) => {
    const reader = readers.get(key);
    if (reader) return reader;
    throw new PaellaError('not-found', `${origin} holds no tensor "${key}" among its ${readers.size}`, {
      fix: 'List the names it has with keys()',
    });
  };
  return {
    keys: () => [...readers.keys()],
    info: (key) => {
      const { shape, dtype } = find(key);
      return { shape: [...shape], dtype };
    },
    get: async (key) => {
      const reader = find(key);
      return { shape: [...reader.shape], dtype: reader.dtype, data: await reader.read() };
    },
    ...rest,
  };
}

/**
 * A state dict over arrays in memory, in the order given.
 * @throws PaellaError `shape` if an array's length is not its shape's product, `argument` for a name twice.
 */
export function stateDictOf(
  tensors: Iterable<readonly [string, NamedTensor]>,
  metadata?: Metadata,
): StateDict {
  const readers = new Map<string, TensorReader>();
  for (const [name, { shape, data, dtype = dtypeOfArray(data) }] of tensors) {
    if (readers.has(name)) throw new PaellaError('argument', `tensor "${name}" is given twice`);
    const elements = elementCount(shape);
    if (elements !== data.length) {
      throw new PaellaError(
        'shape',
        `"${name}": shape [${shape.join(',')}] has ${elements} elements, its array ${data.length}`,
      );
    }
    readers.set(name, { shape: [...shape], dtype, read: async () => data.slice() });
  }
  return stateDictOfReaders('this state dict', readers, metadata && { metadata });
}

/** The product of a shape, 1 for a scalar; `NaN` where it is not made of sizes or is too large to count. */
export function elementCount(shape: readonly unknown[]): number {
  let count = 1;
  let empty = false;
  for (const size of shape) {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return NaN;
    if (size === 0) empty = true;
    else count *= size;
    if (count > Number.MAX_SAFE_INTEGER) return NaN;
  }
  return empty ? 0 : count;
}

/** Bytes of a tensor as stored. */
export const byteCount = ({ shape, dtype }: TensorInfo): number => elementCount(shape) * DTYPES[dtype].bytes;
