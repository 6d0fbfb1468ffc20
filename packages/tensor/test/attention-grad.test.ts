import { describe, expect, it } from 'vitest';
import { type AttentionOptions, type Rows, attention, splitRows } from '../src/ops/attention.js';
import { linear } from '../src/ops/matmul.js';
import { foldIn, streamWords } from '../src/random/threefry.js';
import { Device, Rng, type Tensor, scope } from '../src/index.js';
import {
  CASES,
  type Case,
  type Made,
  make,
  pack,
  reference,
  referenceGradients,
} from './attention-reference.js';
import { gradcheck } from './gradcheck.js';
import {
  TRANSPOSED,
  type Values,
  attentionForces,
  expectClose,
  expectError,
  golden,
  noise,
  permuted,
  testDevice,
  upload,
} from './helpers.js';

const device = await testDevice();

const leaf = (values: Values): Tensor => {
  const tensor = upload(device, values);
  tensor.requiresGrad = true;
  return tensor;
};

const gradientOf = ({ batch, heads, headSize, queries }: Case): Values =>
  noise([batch, queries, heads * headSize], 8);

const optionsOf = (one: Case, made: Made): AttentionOptions => ({
  heads: one.heads,
  scale: made.scale,
  keyWeights: made.weights && upload(device, made.weights),
});

/** One head of 4 numbers, with everything that attention has. */
const SMALL: Case = {
  name: '',
  batch: 2,
  heads: 2,
  headSize: 4,
  queries: 3,
  keys: 4,
  extra: 2,
  bias: [false, true, true, true],
  weights: 'batch',
};

const MORE: Case[] = [
  ...[1, 15, 65].map((queries) => ({
    name: `${queries} queries of ${queries + 2} keys and extra ones`,
    batch: 2,
    heads: 2,
    headSize: 20,
    queries,
    keys: queries + 2,
    extra: 17,
  })),
  {
    name: 'a bias of one number a key',
    batch: 2,
    heads: 2,
    headSize: 4,
    queries: 17,
    keys: 5,
    extra: 6,
    bias: [false, false, false, true],
  },
  {
    name: 'a bias for each entry of the batch',
    batch: 3,
    heads: 2,
    headSize: 4,
    queries: 5,
    keys: 3,
    extra: 4,
    bias: [true, false, false, true],
  },
];

describe('gradients of attention', () => {
  it('match multi_head_attention of PyTorch', async (context) => {
    const file = await golden('ops');
    const get = (name: string) => file.get(`multi_head_attention/${name}`);
    for (const force of attentionForces(device)) {
      await scope(async () => {
        const q = leaf(get('q'));
        const kv = leaf(get('kv'));
        const inWeight = leaf(permuted(get('in_proj_weight'), TRANSPOSED));
        const inBias = leaf(get('in_proj_bias'));
        const outWeight = leaf(permuted(get('out_weight'), TRANSPOSED));
        const bias = leaf(get('out_bias'));
        const [queries] = splitRows(linear(q, inWeight, { bias: inBias }), 3);
        const [, keys, values] = splitRows(linear(kv, inWeight, { bias: inBias }), 3);
        const out = linear(attention(queries, keys, values, { heads: 3, force }), outWeight, { bias });
        out.backward(upload(device, get('grad_output')));
        const want: [Tensor, Values][] = [
          [q, get('grad_q')],
          [kv, get('grad_kv')],
          [inWeight, permuted(get('grad_in_proj_weight'), TRANSPOSED)],
          [inBias, get('grad_in_proj_bias')],
          [outWeight, permuted(get('grad_out_weight'), TRANSPOSED)],
          [bias, get('grad_out_bias')],
        ];
        for (const [tensor, expected] of want) {
          await expectClose(tensor.grad!, expected, { tolerance: 5e-6, context });
        }
      });
    }
  });

  it.each([...CASES, ...MORE])('$name', async (one) => {
    const made = make(one);
    const grad = gradientOf(one);
    const want = referenceGradients(one, made, grad);
    // Products of ±80 have absolute rounding errors of 1e-5, which the exponential makes relative.
    const tolerance = one.spread ? 2e-4 : 1e-5;
    for (const force of one.headSize % 4 === 0
      ? [undefined, ...attentionForces(device, { thorough: one.thorough ?? false })]
      : [undefined]) {
      await scope(async () => {
        const [q, k, v, k2, v2] = [made.q, made.k, made.v, made.k2, made.v2].map(leaf);
        const bias = made.bias && leaf(made.bias);
        const extra = one.extra ? { k: k2, v: v2 } : undefined;
        const options = { ...optionsOf(one, made), extra, bias, force };
        attention(q, k, v, options).backward(upload(device, grad));
        const leaves = { q, k, v, ...(extra && { k2, v2 }), ...(bias && { bias }) };
        for (const [name, tensor] of Object.entries(leaves) as [keyof typeof want, Tensor][]) {
          await expectClose(tensor.grad!, want[name], { tolerance });
        }
      });
    }
  });

  it('are finite differences', async () => {
    const made = make(SMALL);
    await gradcheck(
      device,
      (q, k, v, k2, v2, bias) =>
        attention(q, k, v, { ...optionsOf(SMALL, made), extra: { k: k2, v: v2 }, bias }),
      [made.q, made.k, made.v, made.k2, made.v2, made.bias!],
    );
  });

  it('go to columns of packed projections, and 0 to those that nobody reads', async () => {
    const one: Case = { name: '', batch: 2, heads: 2, headSize: 8, queries: 21, keys: 21, extra: 5 };
    const made = make(one);
    const grad = gradientOf(one);
    const want = referenceGradients(one, made, grad);
    const nothing: Values = { shape: want.k2.shape, data: new Float32Array(want.k2.data.length) };
    for (const force of attentionForces(device)) {
      await scope(async () => {
        const packed = leaf(pack(made.q, made.k, made.v));
        const text = leaf(pack(made.k2, made.k2, made.v2));
        const [q, k, v] = splitRows(packed, 3);
        const [, k2, v2] = splitRows(text, 3);
        attention(q, k, v, { heads: 2, extra: { k: k2, v: v2 }, force }).backward(upload(device, grad));
        await expectClose(packed.grad!, pack(want.q, want.k, want.v), { tolerance: 1e-5 });
        await expectClose(text.grad!, pack(nothing, want.k2, want.v2), { tolerance: 1e-5 });
      });
    }
  });

  it('are summed where one tensor is queries, keys and values, and over a batch that shares keys', async () => {
    const one: Case = {
      name: '',
      batch: 2,
      heads: 2,
      headSize: 4,
      queries: 6,
      keys: 6,
      sharedExtra: true,
      extra: 3,
    };
    const made = make(one);
    const grad = gradientOf(one);
    const same = { ...made, k: made.q, v: made.q, v2: made.k2 };
    const want = referenceGradients(one, same, grad);
    const sum = (...all: Values[]): Values => ({
      shape: all[0].shape,
      data: all[0].data.map((_, i) => all.reduce((total, { data }) => total + data[i], 0)),
    });
    await scope(async () => {
      const x = leaf(made.q);
      const wide = leaf(pack(made.k2, made.k2));
      const columns: Rows = { tensor: wide, start: 8, width: 8 };
      attention(x, x, x, { heads: 2, extra: { k: columns, v: columns } }).backward(upload(device, grad));
      await expectClose(x.grad!, sum(want.q, want.k, want.v), { tolerance: 1e-5 });
      const zero: Values = { shape: want.k2.shape, data: new Float32Array(want.k2.data.length) };
      await expectClose(wide.grad!, pack(zero, sum(want.k2, want.v2)), { tolerance: 1e-5 });
    });
  });

  it('are 0 for a bias that is the same for all keys', async () => {
    const made = make(SMALL);
    await scope(async () => {
      const [q, k, v] = [made.q, made.k, made.v].map((values) => upload(device, values));
      const bias = leaf(noise([2, 2, 3, 1], 6));
      attention(q, k, v, { heads: 2, bias }).backward(upload(device, gradientOf(SMALL)));
      expect([...(await bias.grad!.data())]).toEqual(new Array(12).fill(0));
    });
  });

  it('drop the probabilities that the forward pass dropped', async () => {
    const one: Case = { name: '', batch: 2, heads: 2, headSize: 8, queries: 19, keys: 23, extra: 6 };
    const [own, row, p] = [24, 32, 0.25];
    const { key, stream } = new Rng(5).next();
    const numbers = streamWords(key, stream, one.batch * one.queries * one.heads * row);
    const factors = Array.from(numbers, (word) => ((word >>> 8) * 2 ** -24 >= p ? 1 / (1 - p) : 0));
    const made: Made = {
      ...make(one),
      kept: (b, n, h, j) =>
        factors[((b * one.queries + n) * one.heads + h) * row + (j < one.keys ? j : own + j - one.keys)],
    };
    const grad = gradientOf(one);
    const want = referenceGradients(one, made, grad);
    for (const force of [undefined, ...attentionForces(device)]) {
      await scope(async () => {
        const [q, k, v, k2, v2] = [made.q, made.k, made.v, made.k2, made.v2].map(leaf);
        const rng = new Rng(5);
        const options = { ...optionsOf(one, made), extra: { k: k2, v: v2 }, dropout: { p, rng }, force };
        const out = attention(q, k, v, options);
        expect(rng.counter).toBe(1);
        await expectClose(out, reference(one, made), { tolerance: 1e-5 });
        out.backward(upload(device, grad));
        for (const [name, tensor] of Object.entries({ q, k, v, k2, v2 }) as [keyof typeof want, Tensor][]) {
          await expectClose(tensor.grad!, want[name], { tolerance: 1e-5 });
        }
      });
    }
  });

  it('drop the same of an entry in whatever batch it is, though words of the mask are of several', async () => {
    const one: Case = { name: '', batch: 4, heads: 3, headSize: 8, queries: 3, keys: 5, extra: 2 };
    const [own, row, p] = [8, 12, 0.25];
    const bits = one.queries * one.heads * row;
    const numbers = [0, 1, 2, 3].map((b) => streamWords(foldIn([0, 5], b), 1, bits));
    const made: Made = {
      ...make(one),
      kept: (b, n, h, j) => {
        const word = numbers[b][(n * one.heads + h) * row + (j < one.keys ? j : own + j - one.keys)];
        return (word >>> 8) * 2 ** -24 >= p ? 1 / (1 - p) : 0;
      },
    };
    const grad = gradientOf(one);
    const want = { out: reference(one, made), ...referenceGradients(one, made, grad) };
    for (const force of attentionForces(device)) {
      const run = (from: number, to: number) =>
        scope(async () => {
          const cut = ({ shape: [batch, ...rest], data }: Values): Values => {
            const size = data.length / batch;
            return { shape: [to - from, ...rest], data: data.slice(from * size, to * size) };
          };
          const [q, k, v, k2, v2] = [made.q, made.k, made.v, made.k2, made.v2].map((all) => leaf(cut(all)));
          const rng = new Rng(5, 1).forEntries(from);
          const options = { ...optionsOf(one, made), extra: { k: k2, v: v2 }, dropout: { p, rng }, force };
          const out = attention(q, k, v, options);
          out.backward(upload(device, cut(grad)));
          for (const [name, tensor] of Object.entries({ q, k, v, k2, v2 }) as [keyof typeof want, Tensor][]) {
            await expectClose(tensor.grad!, cut(want[name]), { tolerance: 1e-5 });
          }
          await expectClose(out, cut(want.out), { tolerance: 1e-5 });
          const all = [out, ...[q, k, v, k2, v2].map((tensor) => tensor.grad!)];
          return Promise.all(all.map(async (tensor) => [...(await tensor.data())]));
        });
      const [whole, first, second] = [await run(0, 4), await run(0, 2), await run(2, 4)];
      expect(
        first.map((values, i) => [...values, ...second[i]]),
        force,
      ).toEqual(whole);
    }
  });

  it('draw nothing for a dropout of 0, and refuse what dropout cannot do', async () => {
    await scope(async () => {
      const made = make(SMALL);
      const [q, k, v] = [made.q, made.k, made.v].map((values) => upload(device, values));
      const rng = new Rng(1);
      const plain = await attention(q, k, v, { heads: 2 }).data();
      expect(await attention(q, k, v, { heads: 2, dropout: { p: 0, rng } }).data()).toEqual(plain);
      expect(rng.counter).toBe(0);
      const keyWeights = device.ones([4]);
      const dropout = { p: 0.1, rng };
      expectError(() => attention(q, k, v, { heads: 2, keyWeights, dropout }), 'unsupported', 'key weights');
      expectError(
        () => attention(q, k, v, { heads: 2, dropout: { p: 1, rng } }),
        'argument',
        'dropout must be in [0,1), got 1',
      );
    });
  });

  it('store no scores: memory grows with queries plus keys, not with their product', async () => {
    using meta = await Device.create({ adapter: 'meta' });
    const [n, channels, heads] = [4096, 64, 2];
    const packed = meta.empty([1, n, 3 * channels]);
    packed.requiresGrad = true;
    const before = meta.memory().liveBytes;
    scope(() => {
      const [q, k, v] = splitRows(packed, 3);
      const out = attention(q, k, v, { heads });
      out.backward(meta.empty(out.shape));
    });
    // The result, its gradient, that of the projection, and two times four numbers a query and head.
    const numbers = n * (5 * channels + 8 * heads);
    // A pool's buffers are up to a sixteenth larger.
    expect(meta.memory().peakBytes - before).toBeLessThan(4 * numbers * (1 + 1 / 16));
  });

  it('are computed only where they are wanted', async () => {
    const made = make({ ...SMALL, weights: undefined, bias: undefined });
    await scope(async () => {
      const k = leaf(made.k);
      const [q, v] = [made.q, made.v].map((values) => upload(device, values));
      const out = attention(q, k, v, { heads: 2 });
      device.resetStats();
      out.backward(upload(device, gradientOf(SMALL)));
      expect(q.grad).toBeNull();
      // What queries have in common, and one kernel for keys and values.
      expect(device.stats().dispatches).toBe(2);
    });
  });

  it('do not exist for key weights', async () => {
    await scope(async () => {
      const made = make(SMALL);
      const [q, k, v] = [made.q, made.k, made.v].map((values) => upload(device, values));
      const keyWeights = leaf(noise([4], 7));
      expectError(
        () => attention(q, k, v, { heads: 2, keyWeights }),
        'unsupported',
        'key weights have no gradient',
      );
    });
  });
});
