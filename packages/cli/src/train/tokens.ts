/** The pictures of a data set as tokens: encoded once, and kept beside the run. */
import {
  type Device,
  PaellaError,
  type Tensor,
  loadStateDict,
  noGrad,
  saveSafetensors,
  scope,
} from '@paella/tensor';
import { type Group, shareValue } from '@paella/tensor/distributed';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { VQModel } from 'paella';
import type { Context } from '../context.js';
import { type DataOptions, type DatasetPart, openDataset } from '../data/dataset.js';
import { agree } from '../together.js';
import { batchTensor } from './batch.js';

export interface TokenSet {
  /** Height and width of the grid. */
  grid: [number, number];
  /** Tokens of all pictures, one after the other. */
  tokens: Uint16Array<ArrayBuffer>;
  captions: string[][];
  /** How often each picture is drawn, relative to the others. */
  weights: Float32Array<ArrayBuffer>;
}

/** Pictures that a process reads at a time, and those of them that it encodes together. */
const partSize = 128;
const batchSize = 32;

/**
 * Reads the tokens from `file`, or encodes the data, each process its share of it, and writes them there. All processes
 * get the same set, whatever their number.
 *
 * @param file in the first process; null in the others, which need not see it
 * @param identity what tells this data and this VQGAN from others; a file made with others is not used
 * @throws PaellaError in all processes: `format` if the data set has no usable picture, `argument` if they don't see the
 *   same data, `aborted` if one of them was asked to stop
 */
export async function loadTokens(
  file: string | null,
  source: string,
  options: DataOptions,
  vqgan: VQModel,
  identity: string,
  context: Context,
  group: Group,
): Promise<TokenSet> {
  const key = createHash('sha256').update(identity).digest('hex');
  const stored = file === null ? null : await readSet(file, key, context);
  const known = await shareValue(group, stored && { grid: stored.grid, captions: stored.captions });
  if (known) {
    const count = known.captions.length;
    const tokens = stored?.tokens ?? new Uint16Array(count * known.grid[0] * known.grid[1]);
    const weights = stored?.weights ?? new Float32Array(count);
    return { ...known, tokens: await group.broadcast(tokens), weights: await group.broadcast(weights) };
  }
  const set = await encodeAll(source, options, vqgan, context, group);
  if (file !== null) await writeSet(file, set, key);
  return set;
}

/** The set in a file; null if it isn't there, or is of something else. */
async function readSet(file: string, key: string, { out }: Context): Promise<TokenSet | null> {
  if (!existsSync(file)) return null;
  const state = await loadStateDict(file);
  if (state.metadata?.identity !== key) {
    out.note('the tokens on disk are of other data or another VQGAN: encoding again');
    return null;
  }
  const text = new TextDecoder().decode((await state.get('captions')).data);
  const { data, shape } = await state.get('tokens');
  return {
    grid: [shape[1], shape[2]],
    tokens: data as Uint16Array<ArrayBuffer>,
    captions: JSON.parse(text) as string[][],
    weights: (await state.get('weights')).data as Float32Array<ArrayBuffer>,
  };
}

async function writeSet(file: string, set: TokenSet, key: string): Promise<void> {
  const count = set.captions.length;
  const captions = new TextEncoder().encode(JSON.stringify(set.captions));
  await saveSafetensors(
    file,
    [
      ['tokens', { shape: [count, ...set.grid], data: set.tokens, dtype: 'u16' }],
      ['weights', { shape: [count], data: set.weights }],
      ['captions', { shape: [captions.length], data: captions, dtype: 'u8' }],
    ],
    { metadata: { identity: key } },
  );
}

/** Pictures of a part of the data. */
interface Encoded {
  captions: string[][];
  weights: number[];
  /** Of batches. */
  tokens: Uint16Array[];
}

async function encodeAll(
  source: string,
  options: DataOptions,
  vqgan: VQModel,
  context: Context,
  group: Group,
): Promise<TokenSet> {
  const { rank, size } = group;
  const dataset = await openDataset(source, { ...options, ignoreWeights: true });
  const parts = dataset.parts(partSize);
  await agree(group, { data: { pictures: dataset.length, parts: parts.length } });
  const own = await encodeParts(
    parts.filter((_, part) => part % size === rank),
    options.size,
    vqgan,
    context,
  );
  const all = await group.allGather({
    parts: own.map(({ captions, weights }) => ({ captions, weights })),
    skipped: dataset.skipped,
    isStopped: context.signal.aborted,
  });
  if (all.some(({ isStopped }) => isStopped)) throw new PaellaError('aborted', 'stopped');
  const count = all.reduce((sum, { skipped }) => sum + skipped.count, 0);
  const names = all.flatMap(({ skipped }) => skipped.names);
  if (count > 0) context.out.note(`${count} pictures could not be read: ${names.slice(0, 5).join(', ')}`);
  const described = parts.map((_, part) => all[part % size].parts[Math.floor(part / size)]);
  const captions = described.flatMap((part) => part.captions);
  const weights = Float32Array.from(described.flatMap((part) => part.weights));
  if (captions.length === 0) {
    const which = options.split ? ` of the split '${options.split}'` : '';
    throw new PaellaError('format', `${source} has no usable pictures${which}`);
  }
  const side = options.size / vqgan.factor;
  const tokens = new Uint16Array(captions.length * side * side);
  let at = 0;
  for (const [part, { captions: some }] of described.entries()) {
    const place = tokens.subarray(at, (at += some.length * side * side));
    const owner = part % size;
    let from = 0;
    for (const batch of owner === rank ? own[Math.floor(part / size)].tokens : []) {
      place.set(batch, from);
      from += batch.length;
    }
    await group.broadcast(place, owner);
  }
  return { grid: [side, side], tokens, captions, weights };
}

/** Encodes parts until Ctrl-C. Batches end where parts do, so that it doesn't matter which process has which. */
async function encodeParts(
  parts: readonly DatasetPart[],
  size: number,
  vqgan: VQModel,
  { out, signal }: Context,
): Promise<Encoded[]> {
  const total = parts.reduce((sum, { length }) => sum + (length ?? NaN), 0);
  const all: Encoded[] = [];
  let done = 0;
  for (const part of parts) {
    const { captions, weights, tokens }: Encoded = { captions: [], weights: [], tokens: [] };
    let batch: Uint8Array[] = [];
    const encode = async (): Promise<void> => {
      tokens.push(await encodeBatch(batch, size, vqgan));
      batch = [];
    };
    for await (const example of part.examples()) {
      if (signal.aborted) return all;
      batch.push(example.pixels);
      captions.push(example.captions);
      weights.push(example.weight);
      if (batch.length === batchSize) await encode();
      out.progress('encoding pictures', ++done, total || done);
    }
    if (batch.length > 0) await encode();
    all.push({ captions, weights, tokens });
  }
  return all;
}

async function encodeBatch(batch: readonly Uint8Array[], size: number, vqgan: VQModel): Promise<Uint16Array> {
  using image = batchTensor(vqgan.device, batch, size).keep();
  using indices = noGrad(() => scope(() => vqgan.encodeIndices(image))).keep();
  return Uint16Array.from(await indices.data());
}

/**
 * How pictures are drawn from a set.
 *
 * @returns the picture that a number in [0,1) stands for: pictures take shares by their weight
 */
export function pickByWeight(weights: ArrayLike<number>): (number: number) => number {
  let total = 0;
  const cumulative = Float64Array.from(weights, (weight) => (total += weight));
  return (number) => {
    const target = number * total;
    let [low, high] = [0, cumulative.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] > target) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** Tokens of some pictures, u32 `[picks,H,W]`. */
export function tokensOf({ grid, tokens }: TokenSet, picks: readonly number[], device: Device): Tensor {
  const area = grid[0] * grid[1];
  const some = new Uint32Array(picks.length * area);
  picks.forEach((pick, n) => some.set(tokens.subarray(pick * area, (pick + 1) * area), n * area));
  return device.tensor(some, [picks.length, ...grid]);
}
