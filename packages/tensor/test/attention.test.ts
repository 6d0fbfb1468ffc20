import { describe, expect, it } from 'vitest';
import { Device } from '../src/device/device.js';
import { type AttentionOptions, type Rows, attention, splitRows } from '../src/ops/attention.js';
import { linear } from '../src/ops/matmul.js';
import type { Tensor } from '../src/tensor.js';
import {
  TRANSPOSED,
  type Values,
  expectClose,
  expectError,
  golden,
  noise,
  permuted,
  testDevice,
  upload,
} from './helpers.js';

interface Case {
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
}

const CASES: Case[] = [
  { name: 'one query, one key', batch: 1, heads: 1, headSize: 4, queries: 1, keys: 1 },
  { name: 'one block', batch: 2, heads: 8, headSize: 32, queries: 16, keys: 16, extra: 14 },
  { name: 'ends inside blocks', batch: 1, heads: 2, headSize: 8, queries: 19, keys: 67, extra: 3 },
  {
    name: 'Paella v3',
    batch: 1,
    heads: 2,
    headSize: 80,
    queries: 35,
    keys: 130,
    extra: 70,
    weights: 'shared',
  },
  { name: 'the widest head', batch: 2, heads: 1, headSize: 128, queries: 5, keys: 65 },
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
  },
  { name: 'large logits', batch: 1, heads: 2, headSize: 8, queries: 20, keys: 90, scale: 1, spread: 80 },
];

const MASK = -3e38;

function make({ batch, heads, headSize, queries, keys, extra = 0, ...rest }: Case) {
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

function reference(one: Case, { q, k, v, k2, v2, bias, weights, scale }: ReturnType<typeof make>): Values {
  const { batch, heads, headSize, queries, keys, extra = 0 } = one;
  const channels = heads * headSize;
  const out = new Float64Array(batch * queries * channels);
  const at = ({ shape, data }: Values, b: number, row: number, c: number) =>
    data[((shape[0] === 1 ? 0 : b) * shape[1] + row) * channels + c];
  const joined = (own: Values, more: Values) => (b: number, j: number, c: number) =>
    j < keys ? at(own, b, j, c) : at(more, b, j - keys, c);
  const [key, value] = [joined(k, k2), joined(v, v2)];
  const biasAt = (...position: number[]) =>
    bias
      ? bias.data[position.reduce((sum, p, i) => sum * bias.shape[i] + (bias.shape[i] === 1 ? 0 : p), 0)]
      : 0;
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let n = 0; n < queries; n++) {
        const scores = Array.from({ length: keys + extra }, (_, j) => {
          let sum = 0;
          for (let i = h * headSize; i < (h + 1) * headSize; i++) sum += at(q, b, n, i) * key(b, j, i);
          return sum * (scale ?? 1 / Math.sqrt(headSize)) + biasAt(b, h, n, j);
        });
        const peak = Math.max(...scores);
        const total = scores.reduce((sum, s) => sum + Math.exp(s - peak), 0);
        scores.forEach((s, j) => {
          const weight = weights ? weights.data[(weights.shape[0] === 1 ? 0 : b) * (keys + extra) + j] : 1;
          const share = (Math.exp(s - peak) / total) * weight;
          for (let i = h * headSize; i < (h + 1) * headSize; i++) {
            out[(b * queries + n) * channels + i] += share * value(b, j, i);
          }
        });
      }
    }
  }
  return { shape: [batch, queries, channels], data: out };
}

/** Rows side by side: `[B,N,parts·C]`. */
function pack(...parts: Values[]): Values {
  const [batch, rows, width] = parts[0].shape;
  const data = new Float32Array(batch * rows * width * parts.length);
  for (let row = 0; row < batch * rows; row++) {
    parts.forEach((part, i) =>
      data.set(part.data.subarray(row * width, (row + 1) * width), (row * parts.length + i) * width),
    );
  }
  return { shape: [batch, rows, width * parts.length], data };
}

describe('attention', () => {
  it('matches multi_head_attention of PyTorch', async (context) => {
    const [device, file] = await Promise.all([testDevice(), golden('ops')]);
    const get = (name: string) => file.get(`multi_head_attention/${name}`);
    const q = upload(device, get('q'));
    const kv = upload(device, get('kv'));
    const inWeight = upload(device, permuted(get('in_proj_weight'), TRANSPOSED));
    const inBias = upload(device, get('in_proj_bias'));
    const outWeight = upload(device, permuted(get('out_weight'), TRANSPOSED));
    const bias = upload(device, get('out_bias'));
    const [queries] = splitRows(linear(q, inWeight, { bias: inBias }), 3);
    const [, keys, values] = splitRows(linear(kv, inWeight, { bias: inBias }), 3);
    for (const force of ['blocks', 'simple', 'naive'] as const) {
      using out = linear(attention(queries, keys, values, { heads: 3, force }), outWeight, { bias });
      await expectClose(out, get('output'), { context });
    }
  });

  it.each(CASES)('$name', async (one) => {
    const device = await testDevice();
    const made = make(one);
    const want = reference(one, made);
    const [q, k, v, k2, v2] = [made.q, made.k, made.v, made.k2, made.v2].map((values) =>
      upload(device, values),
    );
    const options: AttentionOptions = {
      heads: one.heads,
      scale: made.scale,
      extra: one.extra ? { k: k2, v: v2 } : undefined,
      bias: made.bias && upload(device, made.bias),
      keyWeights: made.weights && upload(device, made.weights),
    };
    // Products of ±80 have absolute rounding errors of 1e-5, which the exponential makes relative.
    const tolerance = one.spread ? 1e-4 : 1e-5;
    const forces = one.headSize % 4 === 0 ? ([undefined, 'blocks', 'simple', 'naive'] as const) : [undefined];
    for (const force of forces) {
      using out = attention(q, k, v, { ...options, force });
      await expectClose(out, want, { tolerance });
    }
  });

  it('reads queries, keys and values out of packed projections', async () => {
    const device = await testDevice();
    const one: Case = { name: '', batch: 2, heads: 2, headSize: 8, queries: 21, keys: 21, extra: 5 };
    const made = make(one);
    const [q, k, v] = splitRows(upload(device, pack(made.q, made.k, made.v)), 3);
    const [k2, v2] = splitRows(upload(device, pack(made.k2, made.v2)), 2);
    for (const force of ['blocks', 'simple', 'naive'] as const) {
      using out = attention(q, k, v, { heads: 2, extra: { k: k2, v: v2 }, force });
      await expectClose(out, reference(one, made), { tolerance: 1e-5 });
    }
  });

  it('takes the naive kernel where rows do not start on vec4s', async () => {
    const device = await testDevice();
    const one: Case = { name: '', batch: 1, heads: 1, headSize: 4, queries: 5, keys: 6 };
    const made = make(one);
    const widened = { shape: [1, 6, 6], data: new Float32Array(36) };
    for (let i = 0; i < 24; i++) widened.data[Math.floor(i / 4) * 6 + 1 + (i % 4)] = made.k.data[i];
    const k: Rows = { tensor: upload(device, widened), start: 1, width: 4 };
    using out = attention(upload(device, made.q), k, upload(device, made.v), { heads: 1 });
    await expectClose(out, reference(one, made), { tolerance: 1e-5 });
  });

  it('stores no scores: nothing is allocated but the result', async () => {
    using meta = await Device.create({ adapter: 'meta' });
    const packed = meta.empty([1, 4096, 3 * 64]);
    const before = meta.memory().liveBytes;
    const [q, k, v] = splitRows(packed, 3);
    using out = attention(q, k, v, { heads: 2 });
    // 16 bytes stand in for the operands that are absent.
    expect(meta.memory().peakBytes).toBe(before + out.bytes + 16);
    expect(meta.stats().dispatches).toBe(1);
  });

  it('says which operand does not fit', async () => {
    const device = await testDevice();
    const zeros = (...shape: number[]): Tensor => device.zeros(shape);
    const q = zeros(2, 5, 8);
    const kv = zeros(2, 7, 8);
    expectError(
      () => attention(q, kv, zeros(2, 6, 8), { heads: 2 }),
      'shape',
      /as many values as keys.*v \[2,6,8\]/,
    );
    expectError(() => attention(q, kv, kv, { heads: 3 }), 'shape', 'attention: expects 3 heads to divide 8');
    expectError(() => attention(q, zeros(3, 7, 8), kv, { heads: 2 }), 'shape', 'a batch of 2, or of 1');
    expectError(() => attention(q, kv, zeros(2, 7, 4), { heads: 2 }), 'shape', /of 8 columns.*v \[2,7,4\]/);
    expectError(
      () => attention(q, kv, kv, { heads: 2, bias: zeros(2, 1, 1, 6) }),
      'shape',
      /broadcasts to \[2,2,5,7\].*bias \[2,1,1,6\]/,
    );
    expectError(
      () => attention(q, kv, kv, { heads: 2, keyWeights: zeros(6) }),
      'shape',
      /key weights \[2,7\]/,
    );
    const wide = zeros(1, 1, 264);
    expectError(() => attention(wide, wide, wide, { heads: 2 }), 'unsupported', 'heads are 132 wide');
    expectError(() => splitRows(q, 3), 'shape', /splitRows: expects \[B,N,3·C\].*\[2,5,8\]/);
    expect(splitRows(q, 2).map(({ start, width }) => [start, width])).toEqual([
      [0, 4],
      [4, 4],
    ]);
  });
});
