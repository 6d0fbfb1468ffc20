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
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { VQModel } from 'paella';
import type { Context } from '../context.js';
import { openDataset, type DataOptions } from '../data/dataset.js';
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

/**
 * Reads the tokens from `file`, or encodes the data and writes them there.
 *
 * @param identity what tells this data and this VQGAN from others; a file made with others is not used
 * @throws PaellaError `format` if the data set has no usable picture
 */
export async function loadTokens(
  file: string,
  source: string,
  options: DataOptions,
  vqgan: VQModel,
  identity: string,
  context: Context,
): Promise<TokenSet> {
  const key = createHash('sha256').update(identity).digest('hex');
  if (existsSync(file)) {
    const state = await loadStateDict(file);
    if (state.metadata?.identity === key) {
      const text = new TextDecoder().decode((await state.get('captions')).data);
      const { data, shape } = await state.get('tokens');
      return {
        grid: [shape[1], shape[2]],
        tokens: data as Uint16Array<ArrayBuffer>,
        captions: JSON.parse(text) as string[][],
        weights: (await state.get('weights')).data as Float32Array<ArrayBuffer>,
      };
    }
    context.out.note('the tokens on disk are of other data or another VQGAN: encoding again');
  }
  const set = await encodeAll(source, options, vqgan, context);
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
  return set;
}

async function encodeAll(
  source: string,
  options: DataOptions,
  vqgan: VQModel,
  context: Context,
): Promise<TokenSet> {
  const { out } = context;
  const dataset = await openDataset(source, { ...options, shuffle: false, ignoreWeights: true });
  const captions: string[][] = [];
  const weights: number[] = [];
  const parts: Uint16Array[] = [];
  let grid: [number, number] = [0, 0];
  let batch: Uint8Array[] = [];
  const encode = async (): Promise<void> => {
    using image = batchTensor(vqgan.device, batch, options.size).keep();
    const indices = noGrad(() => scope(() => vqgan.encodeIndices(image)));
    grid = [indices.shape[1], indices.shape[2]];
    parts.push(Uint16Array.from(await indices.data()));
    indices.dispose();
    batch = [];
  };
  for await (const { example } of dataset.examples()) {
    context.checkInterrupt();
    batch.push(example.pixels);
    captions.push(example.captions);
    weights.push(example.weight);
    if (batch.length === 32) await encode();
    out.progress('encoding pictures', captions.length, dataset.length ?? captions.length);
  }
  if (batch.length > 0) await encode();
  const { count, names } = dataset.skipped;
  if (count > 0) out.note(`${count} pictures could not be read: ${names.slice(0, 5).join(', ')}`);
  if (captions.length === 0) throw new PaellaError('format', `${source} has no pictures of this split`);
  const tokens = new Uint16Array(captions.length * grid[0] * grid[1]);
  let at = 0;
  for (const part of parts) {
    tokens.set(part, at);
    at += part.length;
  }
  return { grid, tokens, captions, weights: Float32Array.from(weights) };
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
