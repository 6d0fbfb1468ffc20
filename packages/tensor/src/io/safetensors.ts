import { formatError, type ByteSource } from './byte-source.js';
import { DTYPES, decodeValues, dtypeOfSafetensors } from './dtype.js';
import {
  elementCount,
  stateDictOfReaders,
  type Metadata,
  type StateDict,
  type TensorReader,
} from './state-dict.js';

/** The format's own limit on its header. */
const MAX_HEADER = 100_000_000;

/**
 * Opens a safetensors file: an unsigned 64-bit header length, the header as JSON
 * (`{ name: { dtype, shape, data_offsets: [begin, end] }, "__metadata__": {…} }`), the values. As the format
 * demands, the tensors must cover the values without gap or overlap. `keys()` is in file order.
 * @throws PaellaError `format` if anything in the header contradicts itself or the file.
 */
export async function openSafetensors(source: ByteSource): Promise<StateDict> {
  const length = Number(new DataView((await source.read(0, 8)).buffer).getBigUint64(0, true));
  if (length > MAX_HEADER || length > source.size - 8) {
    throw damaged(source, `its header claims ${length} bytes, the file has ${source.size}`);
  }
  const header = parseHeader(source, await source.read(8, length));
  const metadata = readMetadata(source, header['__metadata__']);

  const dataStart = 8 + length;
  const placed = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, entry]) => placeTensor(source, dataStart, name, entry))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const tensor of placed) {
    if (tensor.begin !== end) {
      const how = tensor.begin < end ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw damaged(source, `tensor "${tensor.name}" at ${tensor.begin} ${how}, which ends at ${end}`);
    }
    end = tensor.end;
  }
  if (dataStart + end !== source.size) {
    throw damaged(source, `its tensors end at byte ${dataStart + end}, the file at ${source.size}`);
  }
  const readers = new Map(placed.map(({ name, reader }) => [name, reader]));
  return stateDictOfReaders(source.name, readers, { metadata, close: async () => source.close?.() });
}

function parseHeader(source: ByteSource, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw formatError(source.name, `its header is not JSON: ${String(cause)}`, undefined, cause);
  }
  if (!isRecord(header)) throw damaged(source, 'its header is not a JSON object');
  if (countKeys(text) !== Object.keys(header).length)
    throw damaged(source, 'its header names a tensor twice');
  return header;
}

/** Keys of the outer object of valid JSON text, counting repeated ones, which `JSON.parse` swallows. */
function countKeys(text: string): number {
  let keys = 0;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
    } else if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') depth--;
    else if (char === ':' && depth === 1) keys++;
  }
  return keys;
}

function readMetadata(source: ByteSource, value: unknown): Metadata | undefined {
  if (value === undefined) return undefined;
  if (!isRecord(value) || !Object.values(value).every((text) => typeof text === 'string')) {
    throw damaged(source, 'its __metadata__ is not a map of texts');
  }
  return value as Record<string, string>;
}

interface PlacedTensor {
  name: string;
  /** Bytes from the start of the values. */
  begin: number;
  end: number;
  reader: TensorReader;
}

function placeTensor(source: ByteSource, dataStart: number, name: string, entry: unknown): PlacedTensor {
  if (!isRecord(entry)) throw damaged(source, `tensor "${name}" is not described by an object`);
  const { shape, data_offsets: offsets } = entry;
  const dtype = dtypeOfSafetensors(entry['dtype']);
  if (dtype === undefined) {
    const known = Object.values(DTYPES).map(({ safetensors }) => safetensors);
    throw formatError(
      source.name,
      `tensor "${name}" has the unknown dtype ${brief(entry['dtype'])}`,
      `Convert it to one of ${known.join(', ')}`,
    );
  }
  const elements = Array.isArray(shape) ? elementCount(shape) : NaN;
  const [begin, end]: unknown[] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end) || (begin as number) < 0) {
    throw damaged(source, `tensor "${name}" has the offsets ${brief(offsets)}`);
  }
  const span = { begin: begin as number, end: end as number };
  if (elements * DTYPES[dtype].bytes !== span.end - span.begin) {
    throw damaged(
      source,
      `tensor "${name}" of shape ${brief(shape)} and dtype ${dtype} spans bytes ${span.begin} to ${span.end}`,
    );
  }
  const read = async () =>
    decodeValues(dtype, await source.read(dataStart + span.begin, span.end - span.begin));
  return { name, ...span, reader: { shape: shape as number[], dtype, read } };
}

/** A value of the header as errors show it: hostile ones may be endless or nested without end. */
function brief(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 40)}"`;
  const isShort =
    Array.isArray(value) && value.length < 20 && value.every((item) => typeof item !== 'object');
  return isShort ? `[${value.join(',')}]` : 'something else';
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const damaged = (source: ByteSource, message: string) =>
  formatError(source.name, message, 'The file is damaged or cut short: download or save it again');
