/** Writes PyTorch checkpoints byte by byte, good ones and bad ones, so that tests need no Python. */

/** A pickled global, or the call of one. */
export class PyGlobal {
  constructor(
    readonly name: string,
    readonly args?: unknown[],
  ) {}
}

/** A storage: how pickles refer to the flat arrays beside them. */
export class PyStorage {
  constructor(
    readonly type: string,
    readonly key: string,
    readonly length: number,
  ) {}
}

/** A tuple; plain arrays are lists. */
export class PyTuple {
  constructor(readonly items: unknown[]) {}
}

/** A tensor as PyTorch pickles it. */
export const pyTensor = (storage: PyStorage, offset: number, shape: number[], strides: number[]): PyGlobal =>
  new PyGlobal('torch._utils._rebuild_tensor_v2', [
    storage,
    offset,
    new PyTuple(shape),
    new PyTuple(strides),
    false,
    new PyGlobal('collections.OrderedDict', []),
  ]);

/** Row-major f32 tensor that is a storage of its own. */
export function pyDense(key: string, shape: number[]): PyGlobal {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const length = shape.reduce((a, b) => a * b, 1);
  return pyTensor(new PyStorage('FloatStorage', key, length), 0, shape, strides);
}

/** Pickles a value with protocol 2. */
export function pickle(value: unknown): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [0x80, 2];
  const text = (s: string) => [...new TextEncoder().encode(s)];
  const u32 = (n: number) => [n & 255, (n >>> 8) & 255, (n >>> 16) & 255, n >>> 24];
  const put = (v: unknown): void => {
    if (v === null) bytes.push(0x4e);
    else if (typeof v === 'boolean') bytes.push(v ? 0x88 : 0x89);
    else if (typeof v === 'bigint') {
      const digits = Array.from({ length: 9 }, (_, i) => Number((v >> BigInt(8 * i)) & 255n));
      bytes.push(0x8a, 9, ...digits);
    } else if (typeof v === 'number' && Number.isInteger(v) && Math.abs(v) < 2 ** 31)
      bytes.push(0x4a, ...u32(v));
    else if (typeof v === 'number' && Number.isSafeInteger(v)) put(BigInt(v));
    else if (typeof v === 'number') {
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, v);
      bytes.push(0x47, ...new Uint8Array(view.buffer));
    } else if (typeof v === 'string') bytes.push(0x58, ...u32(text(v).length), ...text(v));
    else if (v instanceof PyTuple) {
      bytes.push(0x28);
      v.items.forEach(put);
      bytes.push(0x74);
    } else if (v instanceof PyStorage) {
      put(new PyTuple(['storage', new PyGlobal(`torch.${v.type}`), v.key, 'cpu', v.length]));
      bytes.push(0x51);
    } else if (v instanceof PyGlobal) {
      const dot = v.name.lastIndexOf('.');
      bytes.push(0x63, ...text(`${v.name.slice(0, dot)}\n${v.name.slice(dot + 1)}\n`));
      if (!v.args) return;
      put(new PyTuple(v.args));
      bytes.push(0x52);
    } else if (Array.isArray(v)) {
      bytes.push(0x5d, 0x28);
      v.forEach(put);
      bytes.push(0x65);
    } else if (v instanceof Map) {
      bytes.push(0x7d, 0x28);
      for (const [key, item] of v as Map<unknown, unknown>) {
        put(key);
        put(item);
      }
      bytes.push(0x75);
    } else throw new TypeError(`cannot pickle ${typeof v}`);
  };
  put(value);
  bytes.push(0x2e);
  return Uint8Array.from(bytes);
}

/** Bytes at a place of a file that is zero elsewhere. */
export interface Segment {
  offset: number;
  bytes: Uint8Array<ArrayBuffer>;
}

export interface ZipPart {
  name: string;
  /** The content, or how many zeros. */
  data: Uint8Array<ArrayBuffer> | number;
  /** Unpacked size of `data` that is deflated. */
  inflated?: number;
}

/** A zip archive as segments, so that a file of gigabytes needs no memory; zip64 on request. */
export function zipSegments(parts: ZipPart[], { zip64 = false } = {}): { size: number; segments: Segment[] } {
  const segments: Segment[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let at = 0;
  const append = (bytes: Uint8Array<ArrayBuffer>) => {
    segments.push({ offset: at, bytes });
    at += bytes.length;
  };
  for (const { name, data, inflated } of parts) {
    const nameBytes = new TextEncoder().encode(name);
    const packed = typeof data === 'number' ? data : data.length;
    const header = new Uint8Array(30 + nameBytes.length + 5).fill(0x5a);
    const view = new DataView(header.buffer);
    view.setUint32(0, 0x04034b50, true);
    view.setUint16(26, nameBytes.length, true);
    view.setUint16(28, 5, true); // padding, as PyTorch aligns with
    header.set(nameBytes, 30);
    const line = new Uint8Array(46 + nameBytes.length + (zip64 ? 28 : 0));
    const entry = new DataView(line.buffer);
    entry.setUint32(0, 0x02014b50, true);
    entry.setUint16(10, inflated === undefined ? 0 : 8, true);
    entry.setUint16(28, nameBytes.length, true);
    line.set(nameBytes, 46);
    const numbers: [number, number][] = [
      [24, inflated ?? packed],
      [20, packed],
      [42, at],
    ];
    numbers.forEach(([place, value], i) => {
      entry.setUint32(place, zip64 ? 0xffffffff : value, true);
      if (zip64) entry.setBigUint64(46 + nameBytes.length + 4 + 8 * i, BigInt(value), true);
    });
    if (zip64) {
      entry.setUint16(30, 28, true);
      entry.setUint16(46 + nameBytes.length, 1, true);
      entry.setUint16(46 + nameBytes.length + 2, 24, true);
    }
    directory.push(line);
    append(header);
    if (typeof data === 'number') at += data;
    else append(data);
  }
  const start = at;
  directory.forEach(append);
  const size = at - start;
  if (zip64) {
    const end64 = new DataView(new ArrayBuffer(56 + 20));
    end64.setUint32(0, 0x06064b50, true);
    end64.setBigUint64(32, BigInt(parts.length), true);
    end64.setBigUint64(40, BigInt(size), true);
    end64.setBigUint64(48, BigInt(start), true);
    end64.setUint32(56, 0x07064b50, true);
    end64.setBigUint64(56 + 8, BigInt(at), true);
    append(new Uint8Array(end64.buffer));
  }
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(10, zip64 ? 0xffff : parts.length, true);
  end.setUint32(12, zip64 ? 0xffffffff : size, true);
  end.setUint32(16, zip64 ? 0xffffffff : start, true);
  append(new Uint8Array(end.buffer));
  return { size: at, segments };
}

/** Fills `length` bytes at `offset` of a file made of segments. */
export function readSegments(segments: Segment[], offset: number, length: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  for (const segment of segments) {
    const from = Math.max(segment.offset, offset);
    const to = Math.min(segment.offset + segment.bytes.length, offset + length);
    if (from < to) out.set(segment.bytes.subarray(from - segment.offset, to - segment.offset), from - offset);
  }
  return out;
}

/** A `.pt` file: `torch.save(value)` with these storages. */
export function torchZip(
  value: unknown,
  storages: Record<string, ArrayBufferView<ArrayBuffer>> = {},
  options?: { zip64?: boolean },
): Uint8Array<ArrayBuffer> {
  const data = Object.entries(storages).map(([key, { buffer, byteOffset, byteLength }]) => ({
    name: `model/data/${key}`,
    data: new Uint8Array(buffer, byteOffset, byteLength),
  }));
  const { size, segments } = zipSegments([{ name: 'model/data.pkl', data: pickle(value) }, ...data], options);
  return readSegments(segments, 0, size);
}
