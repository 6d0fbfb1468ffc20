import { formatError, type ByteSource } from './byte-source.js';
import { DTYPES } from './dtype.js';
import { PickleTruncated, unpickle, type PickleHooks, type PickleValue } from './pickle.js';
import { torchHooks, type StorageReader, type TorchStorage } from './torch-objects.js';
import { readZip } from './zip.js';

/** The pickle of 46000 tensors has about 8 MB, long names included; far more is not a state dict. */
const MAX_PICKLE = 32 * 1024 * 1024;

const cutShort = (source: ByteSource, message: string) =>
  formatError(source.name, message, 'The file is damaged or cut short: download or save it again');

/**
 * Reads the object that `torch.save` wrote since PyTorch 1.6: a zip archive of `<root>/data.pkl` and one entry
 * `<root>/data/<key>` a storage. Only the archive's directory and the pickle are read.
 */
export async function readTorchZip(source: ByteSource): Promise<PickleValue> {
  const entries = await readZip(source);
  const pickleEntry = [...entries.values()].find(({ name }) => /^[^/]*\/?data\.pkl$/.test(name));
  if (!pickleEntry) {
    throw formatError(source.name, 'it is a zip archive without data.pkl, so no PyTorch checkpoint');
  }
  const root = pickleEntry.name.slice(0, -'data.pkl'.length);
  const byteOrder = entries.get(`${root}byteorder`);
  if (
    byteOrder &&
    new TextDecoder().decode(await byteOrder.read(0, Math.min(byteOrder.size, 16))) !== 'little'
  ) {
    throw formatError(
      source.name,
      'its values are not little-endian',
      'Save it again on a little-endian machine',
    );
  }
  if (pickleEntry.size > MAX_PICKLE)
    throw formatError(source.name, `its pickle has ${pickleEntry.size} bytes`);

  const storage = (key: string) => {
    const entry = entries.get(`${root}data/${key}`);
    if (!entry) throw cutShort(source, `storage ${key} is missing`);
    return entry;
  };
  const hooks = torchHooks(source.name, {
    open: (key) => (offset, length) => storage(key).read(offset, length),
    check: (key, bytes) => {
      const { size } = storage(key);
      if (size < bytes) throw cutShort(source, `storage ${key} has ${size} of its ${bytes} bytes`);
    },
  });
  try {
    return unpickle(source.name, await pickleEntry.read(0, pickleEntry.size), hooks).value;
  } catch (error) {
    if (error instanceof PickleTruncated) throw cutShort(source, 'its pickle is cut short');
    throw error;
  }
}

/** PyTorch's magic number 0x1950a86a20f9469cfc6c as a pickle writes it. */
const LEGACY_MAGIC = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/** Whether a file's first bytes are a pickle of that number: after two bytes of protocol, and a frame's nine. */
export const isTorchLegacy = (head: Uint8Array): boolean =>
  head[0] === 0x80 && [2, 11].some((at) => LEGACY_MAGIC.every((byte, i) => head[at + i] === byte));

/**
 * Reads the object that `torch.save` wrote before PyTorch 1.6: five pickles in a row (magic number, protocol
 * version, system, the object, the storages' keys in file order), then each storage as its number of elements
 * (int64) and its bytes. Only the pickles are read.
 */
export async function readTorchLegacy(source: ByteSource): Promise<PickleValue> {
  const storages = new Map<string, TorchStorage>();
  const places = new Map<string, number>();
  const hooks = torchHooks(
    source.name,
    { open: (key) => storageAt(source, storages.get(key), places.get(key)) },
    (storage) => storages.set(storage.key, storage),
  );
  let at = 0;
  const next = async () => {
    const { value, end } = await unpickleAt(source, at, hooks);
    at += end;
    return value;
  };
  await next();
  if ((await next()) !== 1001) throw formatError(source.name, 'it is of an unknown PyTorch protocol version');
  const system = await next();
  if (!(system instanceof Map) || system.get('little_endian') !== true) {
    throw formatError(
      source.name,
      'its values are not little-endian',
      'Save it again on a little-endian machine',
    );
  }
  const root = await next();
  const keys = await next();

  if (!Array.isArray(keys)) throw cutShort(source, 'it does not list its storages');
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (!storage || places.has(storage.key)) throw cutShort(source, 'it lists its storages wrongly');
    places.set(storage.key, at);
    at += 8 + storage.length * DTYPES[storage.dtype].bytes;
  }
  for (const key of storages.keys())
    if (!places.has(key)) throw cutShort(source, `storage ${key} is missing`);
  if (at > source.size) throw cutShort(source, `it has ${source.size} bytes, its storages end at ${at}`);
  return root;
}

/** A storage of a legacy file; its element count in the file is compared when it is first read. */
function storageAt(
  source: ByteSource,
  storage: TorchStorage | undefined,
  place: number | undefined,
): StorageReader {
  return async (offset, length) => {
    if (!storage || place === undefined) throw cutShort(source, 'a storage is missing');
    const count = new DataView((await source.read(place, 8)).buffer).getBigInt64(0, true);
    if (count !== BigInt(storage.length)) {
      throw cutShort(source, `storage ${storage.key} has ${count} elements instead of ${storage.length}`);
    }
    return source.read(place + 8 + offset, length);
  };
}

/** Reads the pickle at `at`, whose length nothing tells: tries ever larger windows. */
async function unpickleAt(source: ByteSource, at: number, hooks: PickleHooks) {
  const rest = Math.min(source.size - at, MAX_PICKLE);
  for (let window = Math.min(rest, 1 << 16); ; window = Math.min(rest, window * 8)) {
    try {
      return unpickle(source.name, await source.read(at, window), hooks);
    } catch (error) {
      if (!(error instanceof PickleTruncated)) throw error;
      if (window === rest) throw cutShort(source, 'its pickles are cut short or too long');
    }
  }
}
