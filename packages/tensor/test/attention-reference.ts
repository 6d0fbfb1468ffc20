/** Shapes that attention is tested over, and what it should compute of them, in float64. */
import { sizeOf } from '../src/dtype.js';
import { type Values, noise } from './helpers.js';

export interface Case {
  name: string;
  batch: number;
  heads: number;
  headSize: number;
  queries: number;
  keys: number;
  extra?: number;
  /** The extra rows are one entry that serves the batch. */
  sharedExtra?: boolean;
  scale?: number;
  /** Of q: large logits. */
  spread?: number;
  /** Which dimensions of `[B,heads,N,M]` the bias has. */
  bias?: [boolean, boolean, boolean, boolean];
  /** The last keys of the first batch entry are masked. */
  masked?: number;
  weights?: 'shared' | 'batch';
  /** Also by the larger kernels, which a software adapter compiles for seconds: each for every set of operands. */
  thorough?: boolean;
}

export const CASES: Case[] = [
  { name: 'one query, one key', batch: 1, heads: 1, headSize: 4, queries: 1, keys: 1 },
  { name: 'one block', batch: 2, heads: 8, headSize: 32, queries: 16, keys: 16, extra: 14, thorough: true },
  {
    name: 'ends inside blocks',
    batch: 1,
    heads: 2,
    headSize: 8,
    queries: 19,
    keys: 67,
    extra: 3,
    thorough: true,
  },
  {
    name: 'Paella v3',
    batch: 1,
    heads: 2,
    headSize: 80,
    queries: 35,
    keys: 130,
    extra: 70,
    weights: 'shared',
    thorough: true,
  },
  { name: 'the widest head', batch: 2, heads: 1, headSize: 128, queries: 5, keys: 65, thorough: true },
  { name: 'odd heads', batch: 2, heads: 3, headSize: 5, queries: 7, keys: 9, extra: 4, weights: 'batch' },
  { name: 'extra keys only', batch: 1, heads: 1, headSize: 8, queries: 3, keys: 0, extra: 5 },
  {
    name: 'shared extra rows',
    batch: 3,
    heads: 2,
    headSize: 12,
    queries: 9,
    keys: 9,
    extra: 6,
    sharedExtra: true,
  },
  {
    name: 'T5: position bias, no scale',
    batch: 2,
    heads: 4,
    headSize: 16,
    queries: 23,
    keys: 23,
    scale: 1,
    bias: [false, true, true, true],
  },
  {
    name: 'full bias and masked tail',
    batch: 2,
    heads: 2,
    headSize: 8,
    queries: 17,
    keys: 70,
    extra: 9,
    masked: 40,
    bias: [true, true, true, true],
  },
  {
    name: 'padding mask over whole blocks',
    batch: 2,
    heads: 2,
    headSize: 8,
    queries: 6,
    keys: 5,
    extra: 200,
    masked: 190,
    bias: [true, false, false, true],
    weights: 'batch',
    thorough: true,
  },
  { name: 'large logits', batch: 1, heads: 2, headSize: 8, queries: 20, keys: 90, scale: 1, spread: 80 },
];

const MASK = -3e38;

export function make({ batch, heads, headSize, queries, keys, extra = 0, ...rest }: Case) {
  const channels = heads * headSize;
  const total = keys + extra;
  const q = noise([batch, queries, channels], 1, rest.spread ?? 2);
  const k = noise([batch, keys, channels], 2);
  const v = noise([batch, keys, channels], 3);
  const extraBatch = rest.sharedExtra ? 1 : batch;
  const k2 = noise([extraBatch, extra, channels], 4);
  const v2 = noise([extraBatch, extra, channels], 5);
  const full = [batch, heads, queries, total];
  const bias =
    rest.bias &&
    noise(
      full.map((length, i) => (rest.bias![i] ? length : 1)),
      6,
      3,
    );
  if (bias && rest.masked) {
    for (let i = 0; i < bias.data.length / batch; i++)
      if (i % total >= total - rest.masked) bias.data[i] = MASK;
  }
  const weights = rest.weights && noise([rest.weights === 'batch' ? batch : 1, total], 7);
  return { q, k, v, k2, v2, bias, weights, scale: rest.scale };
}

/** What attention computes of a case. */
export function reference(one: Case, made: Made): Values {
  return attend(one, made).out;
}

/** Its gradients, for a gradient of the result. */
export function referenceGradients(one: Case, made: Made, grad: Values): Gradients {
  return attend(one, made, grad).gradients;
}

export type Made = ReturnType<typeof make> & {
  /** What dropout multiplies probabilities by. */
  kept?: (batch: number, query: number, head: number, key: number) => number;
};
export type Gradients = Record<'q' | 'k' | 'v' | 'k2' | 'v2' | 'bias', Values>;

/** In float64, score by score; gradients are 0 without one of the result. */
function attend(one: Case, made: Made, grad?: Values): { out: Values; gradients: Gradients } {
  const { batch, heads, headSize, queries, keys, extra = 0 } = one;
  const { q, k, v, k2, v2, weights, scale = 1 / Math.sqrt(headSize) } = made;
  const bias = made.bias ?? { shape: [1, 1, 1, 1], data: new Float32Array(1) };
  const channels = heads * headSize;
  const zeros = ({ shape }: Values) => ({ shape, data: new Float64Array(sizeOf(shape)) });
  const out = zeros(q);
  const gradients = {
    q: zeros(q),
    k: zeros(k),
    v: zeros(v),
    k2: zeros(k2),
    v2: zeros(v2),
    bias: zeros(bias),
  };
  /** Where column h of a row starts. */
  const at = ({ shape }: Values, b: number, row: number, h: number) =>
    ((shape[0] === 1 ? 0 : b) * shape[1] + row) * channels + h * headSize;
  const dot = (x: Values, from: number, y: Values, start: number) => {
    let sum = 0;
    for (let c = 0; c < headSize; c++) sum += x.data[from + c] * y.data[start + c];
    return sum;
  };
  const add = (to: Values, start: number, factor: number, x: Values, from: number) => {
    for (let c = 0; c < headSize; c++) to.data[start + c] += factor * x.data[from + c];
  };
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let n = 0; n < queries; n++) {
        const query = at(q, b, n, h);
        const pairs = Array.from({ length: keys + extra }, (_, j) => {
          const own = j < keys;
          const [key, value, dk, dv] = own
            ? [k, v, gradients.k, gradients.v]
            : [k2, v2, gradients.k2, gradients.v2];
          const row = own ? j : j - keys;
          const bAt = [b, h, n, j].reduce(
            (sum, p, i) => sum * bias.shape[i] + (bias.shape[i] === 1 ? 0 : p),
            0,
          );
          const factor = weights ? weights.data[(weights.shape[0] === 1 ? 0 : b) * (keys + extra) + j] : 1;
          const weight = factor * (made.kept?.(b, n, h, j) ?? 1);
          const places = { k: at(key, b, row, h), v: at(value, b, row, h), bias: bAt };
          const score = scale * dot(q, query, key, places.k) + bias.data[bAt];
          return { key, value, dk, dv, weight, score, places };
        });
        const peak = Math.max(...pairs.map(({ score }) => score));
        const total = pairs.reduce((sum, { score }) => sum + Math.exp(score - peak), 0);
        const shares = pairs.map(({ score }) => Math.exp(score - peak) / total);
        pairs.forEach(({ value, weight, places }, j) => add(out, query, shares[j] * weight, value, places.v));
        if (!grad) continue;
        const delta = dot(grad, query, out, query);
        pairs.forEach(({ key, value, dk, dv, weight, places }, j) => {
          const ds = shares[j] * (weight * dot(grad, query, value, places.v) - delta);
          gradients.bias.data[places.bias] += ds;
          add(gradients.q, query, scale * ds, key, places.k);
          add(dk, places.k, scale * ds, q, query);
          add(dv, places.v, shares[j] * weight, grad, query);
        });
      }
    }
  }
  return { out, gradients };
}

/** Rows side by side: `[B,N,parts·C]`. */
export function pack(...parts: Values[]): Values {
  const [batch, rows, width] = parts[0].shape;
  const data = new Float32Array(batch * rows * width * parts.length);
  for (let row = 0; row < batch * rows; row++) {
    parts.forEach((part, i) =>
      data.set(part.data.subarray(row * width, (row + 1) * width), (row * parts.length + i) * width),
    );
  }
  return { shape: [batch, rows, width * parts.length], data };
}
