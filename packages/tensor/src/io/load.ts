import { openFile } from '#platform';
import { PaellaError } from '../errors.js';
import { blobSource, bufferSource, formatError, type ByteSource } from './byte-source.js';
import { urlSource } from './http.js';
import { stripPrefixes } from './prefixes.js';
import { openSafetensors } from './safetensors.js';
import {
  stateDictOfReaders,
  type Metadata,
  type StateDict,
  type TensorInfo,
  type TensorReader,
} from './state-dict.js';

/** A checkpoint: a path (in Node) or URL, or the file itself. */
export type CheckpointSource = string | URL | Blob | ArrayBuffer | Uint8Array;

export interface LoadOptions {
  /** Take the state dict under this key of a training checkpoint: `ema_state_dict`. */
  wrapper?: string;
  /** Finds the shards of an index that has no path or URL of its own, by their file names. */
  shard?: (file: string) => CheckpointSource | Promise<CheckpointSource>;
}

/** How a checkpoint is stored; the sharded ones are opened by their index. */
export type Container = 'safetensors' | 'safetensors-sharded' | 'pt-zip' | 'pt-legacy' | 'pt-sharded';

/** What a checkpoint is, without reading a single tensor. */
export interface CheckpointSummary {
  container: Container;
  /** The keys that lead to the state dict inside a training checkpoint, joined by dots. */
  wrapper?: string;
  tensors: ({ name: string } & TensorInfo)[];
  metadata: Metadata;
}

/**
 * Opens a checkpoint: safetensors, PyTorch's `.pt`/`.pth`/`.bin`/`.ckpt` (the zip container since 1.6 and the
 * one before), or the `*.index.json` of a sharded one, whose shards are looked for beside it. The content
 * decides, not the name. Only headers are read; each tensor is read when `get` asks for it.
 *
 * A training checkpoint is unwrapped: the first of `state_dict`, `model_state_dict`, `model`, `module`,
 * `ema_state_dict`, `model_ema`, `ema_model`, `ema` that holds tensors is taken, and scalars such as `iter`
 * become `metadata`. A prefix `module.` or `_orig_mod.` on all names is taken off. Nothing in the file is
 * executed: a pickle that asks for anything but tensors and plain data is refused.
 *
 * @throws PaellaError `not-found` if there is no such file, `format` if it is damaged, hostile or of another
 *   kind; the message names the file.
 */
export async function loadStateDict(source: CheckpointSource, options: LoadOptions = {}): Promise<StateDict> {
  return (await openCheckpoint(source, options)).state;
}

/** Describes a checkpoint: its container, wrapper, tensors and scalars. Throws as `loadStateDict`. */
export async function inspectCheckpoint(
  source: CheckpointSource,
  options: LoadOptions = {},
): Promise<CheckpointSummary> {
  const { container, wrapper, state } = await openCheckpoint(source, options);
  const tensors = state.keys().map((name) => ({ name, ...state.info(name) }));
  await state.close?.();
  return { container, wrapper, tensors, metadata: state.metadata ?? {} };
}

interface Checkpoint {
  container: Container;
  wrapper?: string;
  state: StateDict;
}

async function openCheckpoint(from: CheckpointSource, options: LoadOptions): Promise<Checkpoint> {
  const source = await openSource(from);
  const index = await closeOnError(source, () => readIndex(source));
  if (!index) return withoutPrefixes(await openSingle(source, options));
  await source.close?.();
  return withoutPrefixes(await openShards(from, source.name, index, options));
}

/** Runs `work`, and closes the file if it fails. */
async function closeOnError<T>(file: { close?(): Promise<void> }, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await file.close?.();
    throw error;
  }
}

/** Opens anything that can hold a file for random access. Throws PaellaError `not-found`. */
export async function openSource(from: CheckpointSource): Promise<ByteSource> {
  if (from instanceof Uint8Array) return bufferSource(from);
  if (from instanceof ArrayBuffer) return bufferSource(new Uint8Array(from));
  if (from instanceof Blob) return blobSource(from);
  if (typeof from === 'string' && !isAddress(from)) return openFile(from);
  const url = new URL(from);
  return url.protocol === 'file:' ? openFile(url) : urlSource(url);
}

/** Not every text with a colon: `C:\\model.pt` is a path. */
const isAddress = (text: string): boolean => /^(https?|file|blob|data):/i.test(text);

const openSingle = (source: ByteSource, options: LoadOptions): Promise<Checkpoint> =>
  closeOnError(source, async () => {
    const head = await source.read(0, Math.min(source.size, 64));
    if (isSafetensors(head)) return { container: 'safetensors', state: await openSafetensors(source) };
    // Loaded where they are needed: most pages never see a pickle.
    const [{ isTorchLegacy, readTorchLegacy, readTorchZip }, { unwrapStateDict }] = await Promise.all([
      import('./torch.js'),
      import('./wrapper.js'),
    ]);
    const isZip = [0x50, 0x4b, 3, 4].every((byte, i) => head[i] === byte);
    if (!isZip && !isTorchLegacy(head)) throw unknownFormat(source, head);
    const root = await (isZip ? readTorchZip(source) : readTorchLegacy(source));
    const { wrapper, tensors, metadata } = unwrapStateDict(source.name, root, options.wrapper);
    const state = stateDictOfReaders(source.name, tensors, { metadata, close: async () => source.close?.() });
    return { container: isZip ? 'pt-zip' : 'pt-legacy', wrapper, state };
  });

/** A header length below 4 GiB, then a JSON object. */
const isSafetensors = (head: Uint8Array): boolean =>
  head[8] === 0x7b && head.subarray(4, 8).every((byte) => byte === 0);

function unknownFormat(source: ByteSource, head: Uint8Array): PaellaError {
  const text = new TextDecoder('latin1').decode(head).trimStart().toLowerCase();
  if (text.startsWith('version https://git-lfs')) {
    return formatError(
      source.name,
      'it is a Git LFS pointer, not the file',
      'Run git lfs pull, or download it',
    );
  }
  if (text.startsWith('<')) {
    return formatError(
      source.name,
      'it is a web page, not a checkpoint',
      'Use the address of the file itself',
    );
  }
  return formatError(
    source.name,
    `it is neither safetensors nor a PyTorch checkpoint (${source.size} bytes)`,
    'Check that the download is complete; other formats are converted with PyTorch and safetensors first',
  );
}

function withoutPrefixes(checkpoint: Checkpoint): Checkpoint {
  const { state } = checkpoint;
  const keys = state.keys();
  const names = stripPrefixes(keys);
  if (names === keys) return checkpoint;
  const keyOf = new Map(names.map((name, i) => [name, keys[i]]));
  const find = (name: string) => keyOf.get(name) ?? name;
  return {
    ...checkpoint,
    state: {
      ...state,
      keys: () => [...names],
      info: (name) => state.info(find(name)),
      get: (name) => state.get(find(name)),
    },
  };
}

/** From tensor name to file name, as Hugging Face's `*.index.json` holds them. */
type WeightMap = Map<string, string>;

const MAX_INDEX = 64 * 1024 * 1024;

/** The weight map if the file is an index, else undefined. */
async function readIndex(source: ByteSource): Promise<WeightMap | undefined> {
  const head = await source.read(0, Math.min(source.size, 64));
  if (!/^\s*\{/.test(new TextDecoder('latin1').decode(head)) || isSafetensors(head)) return undefined;
  if (source.size > MAX_INDEX) throw unknownFormat(source, head);
  const wrong = (message: string) =>
    formatError(source.name, message, 'Pass the *.index.json that lies beside the shards, or a single file');
  let map: unknown;
  try {
    const index: unknown = JSON.parse(new TextDecoder().decode(await source.read(0, source.size)));
    map = (index as { weight_map?: unknown } | null)?.weight_map;
  } catch (cause) {
    throw wrong(`it is not JSON: ${String(cause)}`);
  }
  if (typeof map !== 'object' || map === null) throw wrong('it has no weight_map');
  return new Map(
    Object.entries(map).map(([name, file]) => {
      // Only files beside the index: a path upwards would let an index read whatever the user can.
      if (typeof file !== 'string' || !/^[^/\\:]+$/.test(file) || file.startsWith('.')) {
        throw wrong(`it places tensor "${name}" in something that is no plain file name`);
      }
      return [name, file];
    }),
  );
}

async function openShards(
  from: CheckpointSource,
  name: string,
  index: WeightMap,
  options: LoadOptions,
): Promise<Checkpoint> {
  const find = options.shard ?? finderBeside(from, name);
  const shards = new Map<string, Checkpoint>();
  const close = async () => {
    await Promise.all([...shards.values()].map(async ({ state }) => state.close?.()));
  };
  return closeOnError({ close }, async () => {
    const readers = new Map<string, TensorReader>();
    const metadata: Metadata = {};
    for (const file of new Set(index.values())) {
      const shard = await openSingle(await openSource(await find(file)), options);
      const { state } = shard;
      shards.set(file, shard);
      Object.assign(metadata, state.metadata);
      for (const key of state.keys()) {
        if (index.get(key) !== file) continue;
        readers.set(key, { ...state.info(key), read: async () => (await state.get(key)).data });
      }
    }
    for (const [key, file] of index) {
      if (!readers.has(key)) {
        throw formatError(name, `it places tensor "${key}" in ${file}, which does not hold it`);
      }
    }
    const isTorch = [...shards.values()].some(({ container }) => container !== 'safetensors');
    const state = stateDictOfReaders(name, readers, { metadata, close });
    return { container: isTorch ? 'pt-sharded' : 'safetensors-sharded', state };
  });
}

/** Finds files in the folder that an index lies in. */
function finderBeside(from: CheckpointSource, name: string): (file: string) => string | URL {
  if (from instanceof URL || (typeof from === 'string' && isAddress(from))) {
    return (file) => new URL(encodeURIComponent(file), from);
  }
  if (typeof from === 'string') return (file) => from.replace(/[^/\\]*$/, '') + file;
  throw new PaellaError(
    'argument',
    `${name} is the index of a sharded checkpoint, whose shards are other files`,
    { fix: 'Pass the index by its path or URL' },
  );
}
