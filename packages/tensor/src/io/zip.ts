import { formatError, type ByteSource } from './byte-source.js';

/*
 * Why not an npm library: a tensor is a range inside an entry (a view into a storage, or one of several
 * tensors that share it), so the reader must know where an entry's bytes lie in the file. unzipit, yauzl and
 * zip.js read lazily, but hand out entries only whole or as streams and keep the offset to themselves.
 */

/** An entry of a zip archive; nothing of it has been read but its line in the central directory. */
export interface ZipEntry {
  name: string;
  /** Bytes once unpacked. */
  size: number;
  /** Reads `length` bytes at `offset` of the unpacked entry. A deflated entry is unpacked as a whole. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

const END = 0x06054b50;
const END64_LOCATOR = 0x07064b50;
const END64 = 0x06064b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;
const MAX_DIRECTORY = 64 * 1024 * 1024;

interface Directory {
  offset: number;
  size: number;
  count: number;
}

/**
 * Lists a zip archive (APPNOTE 6.3: zip32 and zip64, entries stored or deflated) from its central directory.
 * @throws PaellaError `format` if it is damaged, split, encrypted, or names an entry twice.
 */
export async function readZip(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const { offset, size, count } = await findDirectory(source);
  if (size > MAX_DIRECTORY) throw damaged(source, `its directory claims ${size} bytes`);
  const bytes = await source.read(offset, size);
  const view = viewOf(bytes);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > size || view.getUint32(at, true) !== DIRECTORY_ENTRY) {
      throw damaged(source, `entry ${i} of ${count} in its directory is not one`);
    }
    const nameLength = view.getUint16(at + 28, true);
    const extraLength = view.getUint16(at + 30, true);
    const end = at + 46 + nameLength + extraLength + view.getUint16(at + 32, true);
    if (end > size) throw damaged(source, 'its directory is cut short');
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const extra = new DataView(bytes.buffer, at + 46 + nameLength, extraLength);
    if (entries.has(name)) throw damaged(source, `it holds the entry ${name} twice`);
    entries.set(name, readEntry(source, name, new DataView(bytes.buffer, at, 46), extra));
    at = end;
  }
  return entries;
}

async function findDirectory(source: ByteSource): Promise<Directory> {
  // The end record is 22 bytes and a comment of up to 65535; the zip64 locator takes the 20 bytes before it.
  const tailLength = Math.min(source.size, 20 + 22 + 0xffff);
  const tailStart = source.size - tailLength;
  const view = viewOf(await source.read(tailStart, tailLength));
  let at = tailLength - 22;
  const isEnd = () =>
    view.getUint32(at, true) === END && at + 22 + view.getUint16(at + 20, true) === tailLength;
  while (at >= 0 && !isEnd()) at--;
  if (at < 0) throw damaged(source, 'a zip archive must end with its directory, and this does not');
  const locator = at - 20;
  if (locator >= 0 && view.getUint32(locator, true) === END64_LOCATOR) {
    const end64 = viewOf(await source.read(uint64(view, locator + 8), 56));
    if (end64.getUint32(0, true) !== END64)
      throw damaged(source, 'its zip64 directory is not where it should be');
    return { count: uint64(end64, 32), size: uint64(end64, 40), offset: uint64(end64, 48) };
  }
  return {
    count: view.getUint16(at + 10, true),
    size: view.getUint32(at + 12, true),
    offset: view.getUint32(at + 16, true),
  };
}

function readEntry(source: ByteSource, name: string, line: DataView, extra: DataView): ZipEntry {
  let packed = line.getUint32(20, true);
  let size = line.getUint32(24, true);
  let header = line.getUint32(42, true);
  // Sizes that do not fit 32 bits follow in this order in the zip64 field, and only those that do not fit.
  const wide = findZip64(extra);
  const next = () => {
    const value = wide.shift();
    if (value === undefined) throw damaged(source, `entry ${name} lacks its 64-bit sizes`);
    return value;
  };
  if (size === 0xffffffff) size = next();
  if (packed === 0xffffffff) packed = next();
  if (header === 0xffffffff) header = next();

  const method = line.getUint16(10, true);
  if (line.getUint16(8, true) & 1) throw damaged(source, `entry ${name} is encrypted`);
  if (method !== 0 && method !== 8) {
    throw damaged(
      source,
      `entry ${name} is packed by method ${method}; only stored and deflated can be read`,
    );
  }
  if (header + 30 + packed > source.size)
    throw damaged(source, `entry ${name} reaches beyond the end of the file`);
  // Deflate cannot expand more than 1032 times: a larger claim is a lie.
  if (method === 0 ? size !== packed : size > packed * 1032) {
    throw damaged(source, `entry ${name} claims ${size} bytes from ${packed}`);
  }

  let start: number | undefined;
  const read = async (offset: number, length: number) => {
    if (offset + length > size) {
      throw damaged(source, `${length} bytes at ${offset} were asked of entry ${name}, which has ${size}`);
    }
    start ??= await dataStart(source, name, header);
    if (method === 0) return source.read(start + offset, length);
    const whole = await inflate(source, name, await source.read(start, packed), size);
    return whole.slice(offset, offset + length);
  };
  return { name, size, read };
}

/** The 64-bit numbers of an entry's zip64 extra field (id 1). */
function findZip64(extra: DataView): number[] {
  const values: number[] = [];
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== 1) continue;
    const end = Math.min(at + 4 + extra.getUint16(at + 2, true), extra.byteLength);
    for (let value = at + 4; value + 8 <= end; value += 8) values.push(uint64(extra, value));
  }
  return values;
}

/** Where an entry's bytes begin: its local header's name and padding may differ from the directory's. */
async function dataStart(source: ByteSource, name: string, header: number): Promise<number> {
  const view = viewOf(await source.read(header, 30));
  if (view.getUint32(0, true) !== LOCAL_HEADER)
    throw damaged(source, `entry ${name} is not where it should be`);
  return header + 30 + view.getUint16(26, true) + view.getUint16(28, true);
}

async function inflate(
  source: ByteSource,
  name: string,
  packed: Uint8Array<ArrayBuffer>,
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const out = new Uint8Array(size);
  let at = 0;
  try {
    const reader = new Blob([packed])
      .stream()
      .pipeThrough(new DecompressionStream('deflate-raw'))
      .getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      out.set(next.value, at); // throws a RangeError if there is more than the directory claims
      at += next.value.length;
    }
  } catch (cause) {
    throw formatError(
      source.name,
      `entry ${name} cannot be unpacked`,
      'Download or save the file again',
      cause,
    );
  }
  if (at !== size) throw damaged(source, `entry ${name} unpacks to ${at} bytes instead of ${size}`);
  return out;
}

const viewOf = (bytes: Uint8Array<ArrayBuffer>): DataView => new DataView(bytes.buffer);

/** Above 2^53 it loses bits, but such a place is outside of every file and refused by the source. */
const uint64 = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));

const damaged = (source: ByteSource, message: string) =>
  formatError(source.name, message, 'The file is damaged or cut short: download or save it again');
