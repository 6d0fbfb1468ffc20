import { createFile } from '#platform';
import { PaellaError } from '../errors.js';
import { DTYPES, encodeValues, isFloat, type StoredDtype } from './dtype.js';
import { byteCount, stateDictOf, type Metadata, type NamedTensor, type StateDict } from './state-dict.js';

export interface SaveOptions {
  /** Stores every float tensor as this type, rounding to nearest even; others keep theirs. */
  dtype?: 'f32' | 'f16' | 'bf16';
  /** Scalars for the header; they are stored as texts. The state dict's own metadata is not copied. */
  metadata?: Metadata;
  /** Splits the tensors over files of at most this many bytes of values each, with an index. */
  maxShardBytes?: number;
  /** Stops between two tensors and removes what was written. */
  signal?: AbortSignal;
}

/** Tensors to write: a state dict, or named arrays. */
export type SavedTensors = StateDict | Iterable<readonly [string, NamedTensor]>;

/**
 * Writes safetensors, reading and writing one tensor at a time. Equal tensors give equal bytes: the tensors are
 * laid out as the reference implementation does it, by falling alignment of their type (f64 before f32 before
 * f16) and then by name, and metadata is sorted; the header is padded with spaces to a multiple of 8 bytes.
 *
 * With a path (Node only) the file appears under its name when it is complete; with `maxShardBytes` and more
 * than one shard, `model.safetensors` becomes `model-00001-of-00002.safetensors`, …, and
 * `model.safetensors.index.json`. A tensor larger than a shard gets a shard of its own. With a function, it is
 * handed the file's bytes in order.
 *
 * @returns the paths written; none for a function.
 * @throws PaellaError `dtype` if a finite value overflows f16, `aborted` on the signal, `unsupported` for a
 *   path in a browser.
 */
export async function saveSafetensors(
  target: string | ((chunk: Uint8Array<ArrayBuffer>) => void | Promise<void>),
  state: SavedTensors,
  options: SaveOptions = {},
): Promise<string[]> {
  const tensors = planTensors(state, options);
  if (typeof target === 'string')
    return writeFiles(target, splitShards(tensors, options.maxShardBytes), options);
  if (options.maxShardBytes !== undefined) {
    throw new PaellaError('argument', 'shards are files of their own', {
      fix: 'Pass a path, or no maxShardBytes',
    });
  }
  for await (const chunk of chunksOf(tensors, options)) await target(chunk);
  return [];
}

/** The safetensors file as a Blob, for pages that offer it as a download. Options as `saveSafetensors`. */
export async function safetensorsBlob(
  state: SavedTensors,
  options: Omit<SaveOptions, 'maxShardBytes'> = {},
): Promise<Blob> {
  const parts: Blob[] = [];
  // A Blob a tensor: browsers move large Blobs out of memory, arrays they must hold.
  await saveSafetensors((chunk) => void parts.push(new Blob([chunk])), state, options);
  return new Blob(parts, { type: 'application/octet-stream' });
}

interface PlannedTensor {
  name: string;
  shape: number[];
  dtype: StoredDtype;
  bytes: number;
  encode(): Promise<Uint8Array<ArrayBuffer>>;
}

const ALIGNMENT = Object.keys(DTYPES);

function planTensors(from: SavedTensors, { dtype: floats }: SaveOptions): PlannedTensor[] {
  const state = Symbol.iterator in from ? stateDictOf(from) : from;
  const tensors = state.keys().map((name) => {
    const info = state.info(name);
    const dtype = floats && isFloat(info.dtype) ? floats : info.dtype;
    const { shape } = info;
    const encode = async () => encodeValues(dtype, (await state.get(name)).data, name);
    return { name, shape, dtype, bytes: byteCount({ shape, dtype }), encode };
  });
  return tensors.sort(
    (a, b) => ALIGNMENT.indexOf(b.dtype) - ALIGNMENT.indexOf(a.dtype) || compareText(a.name, b.name),
  );
}

/** By code units, which is the same on every machine, unlike a locale's order. */
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

async function* chunksOf(
  tensors: PlannedTensor[],
  { metadata, signal }: SaveOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  yield headerOf(tensors, metadata);
  for (const tensor of tensors) {
    if (signal?.aborted) throw new PaellaError('aborted', 'saving was stopped', { cause: signal.reason });
    const chunk = await tensor.encode();
    const { name, bytes } = tensor;
    if (chunk.length !== bytes) {
      throw new PaellaError(
        'shape',
        `"${name}" gave ${chunk.length} bytes, its shape and dtype have ${bytes}`,
      );
    }
    yield chunk;
  }
}

/** Built from text, not from an object: JavaScript would move keys such as "0" to the front. */
function headerOf(tensors: PlannedTensor[], metadata: Metadata = {}): Uint8Array<ArrayBuffer> {
  const entries: string[] = [];
  const texts = Object.entries(metadata).sort(([a], [b]) => compareText(a, b));
  if (texts.length > 0) {
    const fields = texts.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(String(value))}`);
    entries.push(`"__metadata__":{${fields.join(',')}}`);
  }
  let begin = 0;
  for (const { name, shape, dtype, bytes } of tensors) {
    if (name === '__metadata__') throw new PaellaError('argument', 'no tensor can be named __metadata__');
    const entry = { dtype: DTYPES[dtype].safetensors, shape, data_offsets: [begin, begin + bytes] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    begin += bytes;
  }
  const json = new TextEncoder().encode(`{${entries.join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return header;
}

function splitShards(tensors: PlannedTensor[], maxBytes = Infinity): PlannedTensor[][] {
  if (!(maxBytes > 0)) throw new PaellaError('argument', `maxShardBytes must be positive, got ${maxBytes}`);
  const shards: PlannedTensor[][] = [[]];
  let room = maxBytes;
  for (const tensor of tensors) {
    if (tensor.bytes > room && shards.at(-1)?.length) {
      shards.push([]);
      room = maxBytes;
    }
    shards.at(-1)?.push(tensor);
    room -= tensor.bytes;
  }
  return shards;
}

async function writeFiles(path: string, shards: PlannedTensor[][], options: SaveOptions): Promise<string[]> {
  const number = (n: number) => String(n).padStart(5, '0');
  const stem = path.replace(/\.safetensors$/, '');
  const paths =
    shards.length === 1
      ? [path]
      : shards.map((_, i) => `${stem}-${number(i + 1)}-of-${number(shards.length)}.safetensors`);
  const files: { path: string; chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array> }[] = shards.map(
    (tensors, i) => ({ path: paths[i], chunks: chunksOf(tensors, options) }),
  );
  if (shards.length > 1) {
    files.push({ path: `${stem}.safetensors.index.json`, chunks: [indexOf(shards, paths)] });
  }

  const sinks: Awaited<ReturnType<typeof createFile>>[] = [];
  try {
    for (const file of files) {
      const sink = await createFile(file.path);
      sinks.push(sink);
      for await (const chunk of file.chunks) await sink.write(chunk);
    }
  } catch (error) {
    await Promise.all(sinks.map((sink) => sink.discard()));
    throw error;
  }
  // The index comes last, so that it never points at shards that are not there.
  for (const sink of sinks) await sink.commit();
  return files.map((file) => file.path);
}

/** The index in the form of Hugging Face's tools. */
function indexOf(shards: PlannedTensor[][], paths: string[]): Uint8Array<ArrayBuffer> {
  const places = shards
    .flatMap((tensors, i) => tensors.map(({ name }) => [name, paths[i].replace(/^.*[/\\]/, '')] as const))
    .sort(([a], [b]) => compareText(a, b));
  const size = shards.flat().reduce((sum, { bytes }) => sum + bytes, 0);
  const map = places.map(([name, file]) => `    ${JSON.stringify(name)}: ${JSON.stringify(file)}`);
  const text = `{\n  "metadata": {\n    "total_size": ${size}\n  },\n  "weight_map": {\n${map.join(',\n')}\n  }\n}\n`;
  return new TextEncoder().encode(text);
}
