import { describe, expect, it } from 'vitest';
import { Device } from '../src/device/device.js';
import { type AttentionOptions, type Rows, attention, splitRows } from '../src/ops/attention.js';
import { linear } from '../src/ops/matmul.js';
import type { Tensor } from '../src/tensor.js';
import { CASES, type Case, make, pack, reference } from './attention-reference.js';
import {
  TRANSPOSED,
  attentionForces,
  expectClose,
  expectError,
  golden,
  permuted,
  testDevice,
  upload,
} from './helpers.js';

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
    for (const force of attentionForces(device)) {
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
    const forces =
      one.headSize % 4 === 0
        ? [undefined, ...attentionForces(device, { thorough: one.thorough ?? false })]
        : [undefined];
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
    for (const force of attentionForces(device)) {
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
