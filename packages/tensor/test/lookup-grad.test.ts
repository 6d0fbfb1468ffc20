import type { TeamForce } from '@paella/kernels';
import { describe, expect, it } from 'vitest';
import { Rng, type Tensor, ops, scope } from '../src/index.js';
import { foldIn, streamWords } from '../src/random/threefry.js';
import { gradcheck } from './gradcheck.js';
import {
  expectClose,
  expectError,
  golden,
  noise,
  relativeError,
  teamForces,
  testDevice,
  upload,
} from './helpers.js';

const device = await testDevice();
const cases = await golden('ops');

describe('gradients of embedding', () => {
  it('equal PyTorch', async () => {
    await scope(async () => {
      const index = device.tensor(Uint32Array.from(cases.get('embedding/index').data), [3, 9]);
      const weight = upload(device, cases.get('embedding/weight'));
      weight.requiresGrad = true;
      ops.embedding(index, weight).backward(upload(device, cases.get('embedding/grad_output')));
      await expectClose(weight.grad!, cases.get('embedding/grad_weight'), { tolerance: 1e-6 });
    });
  });

  it.each([
    { count: 1, rows: 1, dim: 1 },
    { count: 300, rows: 7, dim: 5 },
    { count: 3000, rows: 8192, dim: 4 },
    { count: 9001, rows: 40, dim: 12 },
  ])('equal the naive twin, and never change: $count of $rows × $dim', async ({ count, rows, dim }) => {
    await scope(async () => {
      // Half of the positions are one row, as a white background is; some indices lie outside.
      const index = device.tensor(
        Uint32Array.from({ length: count }, (_, i) => (i % 2 ? rows >> 1 : (i * 7919) % (rows + 3))),
      );
      const upstream = upload(device, noise([count, dim], 1));
      const run = async (force?: 'naive'): Promise<Float32Array> => {
        const weight = upload(device, noise([rows, dim], 2));
        weight.requiresGrad = true;
        ops.embedding(index, weight, { force }).backward(upstream);
        return (await weight.grad!.data()) as Float32Array;
      };
      const fast = await run();
      expect(relativeError(fast, await run('naive'))).toBeLessThan(2e-6);
      expect(await run()).toEqual(fast);
    });
  });

  it('are zero without any index, whatever the memory held before', async () => {
    await scope(async () => {
      device.tensor(Uint32Array.of(1, 2, 3, 4)).dispose();
      const weight = upload(device, noise([4, 4], 2));
      weight.requiresGrad = true;
      ops.embedding(device.empty([0], 'u32'), weight).backward(device.empty([0, 4]));
      expect([...(await weight.grad!.data())]).toEqual(new Array(16).fill(0));
    });
  });
});

describe('straightThrough', () => {
  it('has the values of the codes and the gradient of what was quantised', async () => {
    await scope(async () => {
      const z = upload(device, noise([5, 4], 1));
      const codes = upload(device, noise([5, 4], 2));
      z.requiresGrad = codes.requiresGrad = true;
      const out = ops.straightThrough(codes, z);
      expect(await out.data()).toEqual(await codes.data());
      out.backward(upload(device, noise([5, 4], 3)));
      expect(await z.grad!.data()).toEqual(noise([5, 4], 3).data);
      expect(codes.grad).toBeNull();
    });
  });
});

describe('dropout', () => {
  it('keeps what the words of its stream say, forwards and backwards', async () => {
    await scope(async () => {
      const values = noise([7, 9], 1);
      const x = upload(device, values);
      x.requiresGrad = true;
      const rng = new Rng(5, 3);
      const out = ops.dropout(x, 0.3, rng);
      expect(rng.counter).toBe(4);
      const words = streamWords([0, 5], 3, 63);
      const kept = Array.from(words, (word) => (word >>> 8) * 2 ** -24 >= 0.3);
      const scale = Math.fround(1 / 0.7);
      expect(
        relativeError(
          await out.data(),
          values.data.map((v, i) => (kept[i] ? v * scale : 0)),
        ),
      ).toBeLessThan(1e-6);
      const upstream = noise([7, 9], 2);
      out.backward(upload(device, upstream));
      const expected = upstream.data.map((v, i) => (kept[i] ? v * scale : 0));
      expect(relativeError(await x.grad!.data(), expected)).toBeLessThan(1e-6);
      expectError(() => ops.dropout(x, 1, rng), 'argument', /\[0,1\)/);
    });
  });

  it('drops the same of an entry in whatever batch it is, forwards and backwards', async () => {
    await scope(async () => {
      for (const shape of [[4, 16], [4, 3, 7], [4], [4, 2, 65]]) {
        const size = shape.slice(1).reduce((product, length) => product * length, 1);
        const [values, upstream] = [noise(shape, 1), noise(shape, 2)];
        const part = async (from: number, to: number) => {
          const cut = ({ data }: typeof values) =>
            upload(device, {
              shape: [to - from, ...shape.slice(1)],
              data: data.slice(from * size, to * size),
            });
          const x = cut(values);
          x.requiresGrad = true;
          const out = ops.dropout(x, 0.3, new Rng(5, 3).forEntries(from));
          out.backward(cut(upstream));
          return { out: [...(await out.data())], grad: [...(await x.grad!.data())] };
        };
        const [whole, first, second] = [await part(0, 4), await part(0, 2), await part(2, 4)];
        expect([...first.out, ...second.out], shape.join()).toEqual(whole.out);
        expect([...first.grad, ...second.grad], shape.join()).toEqual(whole.grad);
        const drawn = [0, 1, 2, 3].flatMap((b) => [...streamWords(foldIn([0, 5], b), 3, size)]);
        const kept = drawn.map((word) => (word >>> 8) * 2 ** -24 >= 0.3);
        expect(whole.out.map((value) => value !== 0)).toEqual(kept);
        expect(whole.grad.map((value) => value !== 0)).toEqual(kept);
      }
    });
  });
});

describe('cross-entropy', () => {
  const target = (count: number, classes: number): Tensor =>
    device.tensor(Uint32Array.from({ length: count }, (_, i) => (i * 7 + 3) % classes));

  it('has the gradient of finite differences', async () => {
    for (const classes of [5, 8]) {
      await gradcheck(
        device,
        (logits) => ops.crossEntropy(logits, target(6, classes), { labelSmoothing: 0.1 }),
        [noise([6, classes], 1, 3)],
      );
    }
  });

  it.each([
    { count: 1, c: 4, classes: 1, chunk: 1 },
    { count: 11, c: 8, classes: 12, chunk: 4 },
    { count: 9, c: 5, classes: 7, chunk: 100 },
    { count: 65, c: 12, classes: 260, chunk: 32 },
  ])(
    'fused with the last layer equals the two apart: $count × $c to $classes',
    async ({ count, c, classes, chunk }) => {
      await scope(async () => {
        const labels = target(count, classes);
        const run = async (fused: boolean, force?: TeamForce) => {
          const h = upload(device, noise([count, c], 1));
          const weight = upload(device, noise([c, classes], 2, 2));
          const rowWeights = upload(device, noise([count], 5));
          h.requiresGrad = weight.requiresGrad = rowWeights.requiresGrad = true;
          let rows: Tensor;
          let loss: Tensor;
          if (fused) {
            const options = { rowWeights, labelSmoothing: 0.1, chunkRows: chunk, force };
            ({ loss, rows } = ops.linearCrossEntropy(h, weight, labels, options));
          } else {
            rows = ops.crossEntropy(ops.linear(h, weight), labels, { labelSmoothing: 0.1 });
            loss = rows.mul(rowWeights).sum();
          }
          loss.mul(3).backward();
          return Promise.all([loss, rows, rowWeights.grad!, h.grad!, weight.grad!].map((one) => one.data()));
        };
        const apart = await run(false);
        for (const force of teamForces(device)) {
          const fused = await run(true, force);
          fused.forEach((values, i) => {
            if (classes > 1 || i < 3) expect(relativeError(values, apart[i])).toBeLessThan(3e-6);
          });
        }
      });
    },
  );

  it('fused computes only the gradients that are wanted, any number of times', async () => {
    await scope(async () => {
      const values = [noise([6, 4], 1), noise([4, 8], 2), noise([6], 3)];
      const run = async (wanted: readonly boolean[]) => {
        const leaves = values.map((one) => upload(device, one));
        leaves.forEach((leaf, i) => (leaf.requiresGrad = wanted[i]));
        const [h, weight, rowWeights] = leaves;
        const { loss } = ops.linearCrossEntropy(h, weight, target(6, 8), { rowWeights, chunkRows: 4 });
        loss.backward(undefined, { retainGraph: true });
        loss.backward();
        return Promise.all(leaves.map(async ({ grad }) => (grad ? grad.data() : null)));
      };
      const all = await run([true, true, true]);
      for (const one of [0, 1, 2]) {
        const wanted = [0, 1, 2].map((i) => i === one);
        expect(await run(wanted)).toEqual(all.map((gradient, i) => (wanted[i] ? gradient : null)));
      }
    });
  });

  it('fused weighs all positions alike by default', async () => {
    await scope(async () => {
      const h = upload(device, noise([3, 5, 4], 1));
      const weight = upload(device, noise([4, 9], 2));
      h.requiresGrad = true;
      const labels = target(15, 9).reshape([3, 5]);
      const { loss, rows, correct } = ops.linearCrossEntropy(h, weight, labels);
      expect(rows.shape).toEqual([3, 5]);
      expect(correct.shape).toEqual([3, 5]);
      loss.backward();
      const fused = [await loss.data(), await h.grad!.data()];
      h.zeroGrad();
      const mean = ops.crossEntropy(ops.linear(h, weight), labels).mean();
      mean.backward();
      expect(relativeError(fused[0], await mean.data())).toBeLessThan(1e-6);
      expect(relativeError(fused[1], await h.grad!.data())).toBeLessThan(1e-6);
    });
  });

  it('fused says where the target is the most likely class', async () => {
    await scope(async () => {
      const h = device.tensor([1, 0, 0, 1], [2, 2]);
      const weight = device.tensor([3, 1, 2, 0, 5, 1], [2, 3]);
      const { correct } = ops.linearCrossEntropy(h, weight, device.tensor(Uint32Array.of(0, 2)));
      expect([...(await correct.data())]).toEqual([1, 0]);
    });
  });

  it('fused never holds all logits', async () => {
    await scope(async () => {
      const [count, c, classes] = [4096, 16, 8192];
      const h = upload(device, noise([count, c], 1));
      const weight = upload(device, noise([c, classes], 2));
      h.requiresGrad = weight.requiresGrad = true;
      const labels = target(count, classes);
      device.trim();
      device.resetPeak();
      const before = device.memory().peakBytes;
      ops.linearCrossEntropy(h, weight, labels, { labelSmoothing: 0.1 }).loss.backward();
      await device.synchronize();
      // All logits would be 128 MiB, and their gradients as much.
      expect(device.memory().peakBytes - before).toBeLessThan(40 << 20);
    });
  });
});
