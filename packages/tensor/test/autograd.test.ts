import { describe, expect, it } from 'vitest';
import { Rng, type Tensor, checkpoint, firstNonFinite, grad, noGrad, ops, scope } from '../src/index.js';
import { watchGradients } from '../src/autograd/backward.js';
import { expectError, testDevice } from './helpers.js';

const device = await testDevice();

describe('autograd', () => {
  it('refuses to use what was overwritten since', () => {
    scope(() => {
      const x = device.tensor([1, 2], [2], { requiresGrad: true });
      const y = x.square().sum();
      x.assign(device.tensor([3, 4]));
      expectError(() => y.backward(), 'graph', /overwritten/);
      expectError(() => (x.mul(2).requiresGrad = false), 'graph', /leaves/);
      expectError(() => (device.tensor(Uint32Array.of(1)).requiresGrad = true), 'dtype', /f32/);
    });
  });

  it('adds gradients up over several uses and several passes', async () => {
    const x = device.tensor([1, 2, 3, 4, 5, 6], [2, 3], { requiresGrad: true });
    const upstream = device.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [4, 3]);
    ops.cat([x, x], 0).backward(upstream);
    expect([...(await x.grad!.data())]).toEqual([8, 10, 12, 14, 16, 18]);
    x.slice(1, 1, 2).backward(device.tensor([1, 1], [2, 1]));
    expect([...(await x.grad!.data())]).toEqual([8, 11, 12, 14, 17, 18]);
    x.zeroGrad();
    expect(x.grad).toBeNull();
    x.dispose();
  });

  it('routes gradients through views and permutations', async () => {
    const x = device.tensor([0, 1, 2, 3, 4, 5], [2, 3], { requiresGrad: true });
    x.transpose()
      .reshape([6])
      .backward(device.tensor([1, 2, 3, 4, 5, 6]));
    expect([...(await x.grad!.data())]).toEqual([1, 3, 5, 2, 4, 6]);
    x.dispose();
  });

  it('frees everything but leaves and their gradients, also where forward scopes ended before', async () => {
    const x = device.tensor([1, 2, 3, 4], [2, 2], { requiresGrad: true });
    const before = device.memory().liveTensors;
    scope(() => {
      const y = scope(() => ops.cat([x, x.transpose()], 1).reshape([8]));
      y.slice(0, 3, 4).backward();
    });
    expect(device.memory().liveTensors).toBe(before + 1); // x.grad
    expect([...(await x.grad!.data())]).toEqual([0, 0, 1, 0]);
    scope(() => {
      ops.cat([x, x], 1).transpose();
    });
    expect(device.memory().liveTensors).toBe(before + 1);
    x.dispose();
    expect(device.memory().liveTensors).toBe(before - 1);
  });

  it('says what is wrong with a second pass, a missing graph and a missing gradient', () => {
    scope(() => {
      const x = device.tensor([1, 2], [2], { requiresGrad: true });
      const y = x.reshape([1, 2]).slice(1, 0, 1);
      y.backward(undefined, { retainGraph: true });
      y.backward();
      expectError(() => y.backward(), 'graph', /freed/);
      expectError(() => noGrad(() => x.slice(0, 0, 1)).backward(), 'graph', /requires a gradient/);
      expectError(() => x.detach().slice(0, 0, 1).backward(), 'graph', /requires a gradient/);
      expectError(() => x.reshape([2, 1]).backward(), 'shape', /gradient/);
    });
  });

  it('gives gradients of chosen tensors without touching leaves', async () => {
    await scope(async () => {
      const x = device.tensor([1, 2, 3], [3], { requiresGrad: true });
      const middle = x.reshape([3, 1]);
      const y = middle.slice(0, 1, 2);
      const [atMiddle, atX] = grad(y, [middle], { retainGraph: true }).concat(grad(y, [x]));
      expect([...(await atMiddle.data())]).toEqual([0, 1, 0]);
      expect([...(await atX.data())]).toEqual([0, 1, 0]);
      expect(x.grad).toBeNull();
    });
  });

  it('is done with leaves as it comes by them, also with those of what was computed before all else', () => {
    scope(() => {
      const leaf = (): Tensor => device.tensor([1, 2], [2], { requiresGrad: true });
      const [first, second, third, ahead] = [leaf(), leaf(), leaf(), leaf()];
      const prepared = ahead.square().mul(2);
      const x = device.tensor([3, 4]).mul(first);
      const y = x.mul(second).add(x);
      const loss = y.mul(prepared).mul(third).sum();
      const seen: Tensor[] = [];
      watchGradients(
        (one) => seen.push(one),
        () => loss.backward(),
      );
      expect(seen.map((one) => [first, second, third, ahead].indexOf(one))).toEqual([2, 3, 1, 0]);
    });
  });

  it('computes a checkpointed part again', async () => {
    let runs = 0;
    const x = device.tensor([1, 2, 3, 4], [2, 2], { requiresGrad: true });
    scope(() => {
      const y = checkpoint(
        (input) => {
          runs++;
          return ops.cat([input, x.transpose()], 0).reshape([8]);
        },
        [x],
      );
      y.backward(device.tensor([1, 2, 3, 4, 5, 6, 7, 8]));
    });
    expect(runs).toBe(2);
    expect([...(await x.grad!.data())]).toEqual([6, 9, 9, 12]);
    x.dispose();
  });

  it('repeats the random draws of a checkpointed part, and leaves the generator where it was', async () => {
    const draw = (rng: Rng) => (input: Tensor) =>
      ops.dropout(input, 0.5, rng).mul(ops.dropout(input, 0.5, rng));
    const run = async (checkpointed: boolean) =>
      scope(async () => {
        const rng = new Rng(7);
        const x = device.tensor([1, 2, 3, 4, 5, 6, 7, 8], [8], { requiresGrad: true });
        const y = checkpointed ? checkpoint(draw(rng), [x], { rng }) : draw(rng)(x);
        rng.next();
        y.sum().backward();
        return { counter: rng.counter, values: [...(await y.data())], gradient: [...(await x.grad!.data())] };
      });
    expect(await run(true)).toEqual(await run(false));
  });

  it('finds the first operation whose result is not finite', async () => {
    await scope(async () => {
      const x = device.tensor([1, 0], [2], { requiresGrad: true });
      const weight = device.tensor([2, 3], [2], { requiresGrad: true });
      const fine = await firstNonFinite(() => x.mul(weight).sum().backward());
      expect(fine).toBeNull();
      const anomaly = await firstNonFinite(() => void x.mul(1e30).mul(1e30).mul(weight).log().sum());
      expect(anomaly?.op).toBe('mul');
      const later = await firstNonFinite(
        () => void x.add(1).mul(weight).sub(weight).square().mul(weight.exp().mul(3e38)),
      );
      expect(later?.leaves).toEqual([]);
      const named = await firstNonFinite(() => void x.exp().div(weight.sub(weight)).mul(weight));
      expect(named?.op).toBe('div');
    });
  });
});
