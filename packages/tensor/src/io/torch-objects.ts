import { formatError } from './byte-source.js';
import { DTYPES, decodeValues, dtypeOfTorchStorage, type StoredDtype, type TypedArray } from './dtype.js';
import { PickleGlobal, PickleObject, type PickleHooks, type PickleValue } from './pickle.js';
import { elementCount, type TensorReader } from './state-dict.js';

/** Reads bytes of one storage; containers differ in where they keep them. */
export type StorageReader = (offset: number, length: number) => Promise<Uint8Array<ArrayBuffer>>;

/** Where a container keeps its storages. */
export interface StorageTable {
  /** The reader of a storage, known by the time the first tensor is read. */
  open(key: string): StorageReader;
  /** @throws PaellaError if the container holds no storage of this key with at least that many bytes. */
  check?(key: string, bytes: number): void;
}

/** A flat array in the file that one or more tensors are views of. */
export class TorchStorage extends PickleObject {
  readonly kind = 'storage';

  constructor(
    readonly key: string,
    readonly dtype: StoredDtype,
    /** Elements of the whole storage. */
    readonly length: number,
    /** Where this view of it begins, in elements: 0 but in some legacy files. */
    readonly start: number,
  ) {
    super();
  }
}

/** A strided view of a storage, checked to lie inside of it. */
export class TorchTensor extends PickleObject implements TensorReader {
  readonly kind = 'tensor';

  constructor(
    readonly storage: TorchStorage,
    readonly shape: number[],
    private readonly strides: number[],
    /** In elements of the storage. */
    private readonly offset: number,
    private readonly table: StorageTable,
  ) {
    super();
  }

  get dtype(): StoredDtype {
    return this.storage.dtype;
  }

  /** Reads the span of the storage that the view covers, and gathers it where it is not contiguous. */
  async read(): Promise<TypedArray> {
    const { bytes } = DTYPES[this.dtype];
    const elements = elementCount(this.shape);
    if (elements === 0) return decodeValues(this.dtype, new Uint8Array(0));
    const span = this.shape.reduce((last, size, axis) => last + (size - 1) * this.strides[axis], 1);
    const read = this.table.open(this.storage.key);
    const raw = await read(this.offset * bytes, span * bytes);
    return decodeValues(
      this.dtype,
      isContiguous(this.shape, this.strides) ? raw : this.gather(raw, elements),
    );
  }

  private gather(raw: Uint8Array<ArrayBuffer>, elements: number): Uint8Array<ArrayBuffer> {
    const { bytes } = DTYPES[this.dtype];
    const Words = bytes === 1 ? Uint8Array : bytes === 2 ? Uint16Array : Uint32Array;
    const words = Math.ceil(bytes / 4); // 64-bit values move as two words: as floats, NaNs could change
    const from = new Words(raw.buffer);
    const to = new Words(elements * words);
    const index = this.shape.map(() => 0);
    let at = 0;
    for (let i = 0; i < elements; i++) {
      for (let word = 0; word < words; word++) to[i * words + word] = from[at * words + word];
      // Count up like an odometer, moving `at` by the strides instead of multiplying them out.
      for (let axis = index.length - 1; axis >= 0; axis--) {
        at += this.strides[axis];
        if (++index[axis] < this.shape[axis]) break;
        at -= this.strides[axis] * this.shape[axis];
        index[axis] = 0;
      }
    }
    return new Uint8Array(to.buffer);
  }
}

/** Row-major without gaps; the stride of an axis of size 1 means nothing. */
function isContiguous(shape: number[], strides: number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

/** PyTorch's own limit. */
const MAX_DIMENSIONS = 64;

/** An expanded tensor (stride 0) may have more elements than its storage, up to this many. */
const MAX_EXPANDED = 1 << 24;

const STORAGE = /^torch\.([A-Za-z0-9]+Storage)$/;

/**
 * The only objects a state dict is made of. Storages are identified here and read later through `table`.
 *
 * @param name what errors call the file.
 * @param seen called with each storage when it is first met.
 */
export function torchHooks(
  name: string,
  table: StorageTable,
  seen: (storage: TorchStorage) => void = () => undefined,
): PickleHooks {
  const wrong = (message: string) =>
    formatError(name, message, 'The file is damaged: download or save it again');
  const storages = new Map<string, TorchStorage>();

  function persistent(id: PickleValue): PickleValue {
    if (!Array.isArray(id)) throw wrong('it refers to a storage in an unknown way');
    const [tag, type, key, , length, view] = id;
    const storageName = type instanceof PickleGlobal ? STORAGE.exec(type.name)?.[1] : undefined;
    if (tag !== 'storage' || storageName === undefined || typeof key !== 'string' || !isCount(length)) {
      throw wrong('it refers to a storage in an unknown way');
    }
    const dtype = dtypeOfTorchStorage(storageName);
    if (dtype === undefined) {
      throw formatError(name, `it holds values of type torch.${storageName}`, 'Save it as f32, f16 or bf16');
    }
    const known = storages.get(key);
    if (known && (known.dtype !== dtype || known.length !== length)) {
      throw wrong(`storage ${key} is described in two ways`);
    }
    if (!known) {
      table.check?.(key, length * DTYPES[dtype].bytes);
      const whole = new TorchStorage(key, dtype, length, 0);
      storages.set(key, whole);
      seen(whole);
    }
    // Legacy files say (key, offset, size) for a storage that is part of another.
    const start = Array.isArray(view) ? view[1] : 0;
    if (!isCount(start)) throw wrong(`storage ${key} is a view from nowhere`);
    return new TorchStorage(key, dtype, length, start);
  }

  function tensor([storage, offset, shape, strides]: PickleValue[]): TorchTensor {
    if (!(storage instanceof TorchStorage) || !isCount(offset) || !isSizes(shape) || !isSizes(strides)) {
      throw wrong('it holds a tensor whose description is not one');
    }
    const text = `a tensor of shape [${shape.join(',')}] and strides [${strides.join(',')}] at ${offset}`;
    const elements = elementCount(shape);
    if (shape.length !== strides.length || Number.isNaN(elements)) throw wrong(`it holds ${text}`);
    const first = storage.start + offset;
    const last = shape.reduce((index, size, axis) => index + (size - 1) * strides[axis], first);
    const outside = elements > 0 && !(last < storage.length);
    if (outside || elements > Math.max(storage.length, MAX_EXPANDED)) {
      throw wrong(`it holds ${text} of a storage of ${storage.length} elements`);
    }
    return new TorchTensor(storage, shape, strides, first, table);
  }

  return {
    persistent,
    knows: (global) => global in CALLS || STORAGE.test(global),
    reduce(global, args) {
      switch (CALLS[global]) {
        case 'dict':
          if (args.length > 0) throw wrong('it makes an OrderedDict from arguments');
          return new Map();
        case 'tensor':
          return tensor(args);
        case 'parameter':
          if (!(args[0] instanceof TorchTensor)) throw wrong('it holds a parameter that is not a tensor');
          return args[0];
        case 'size':
          if (args.length !== 1 || !isSizes(args[0])) throw wrong('it holds a torch.Size that is not one');
          return args[0];
        default:
          throw wrong(`it calls ${global}, which is not a function of state dicts`);
      }
    },
  };
}

/** The functions a state dict may call, and what they make. */
const CALLS: Record<string, 'dict' | 'tensor' | 'parameter' | 'size'> = Object.assign(Object.create(null), {
  'collections.OrderedDict': 'dict',
  'torch._utils._rebuild_tensor_v2': 'tensor',
  'torch._utils._rebuild_parameter': 'parameter',
  'torch.Size': 'size',
});

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= MAX_DIMENSIONS && value.every(isCount);
