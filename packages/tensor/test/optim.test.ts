import { describe, expect, it } from 'vitest';
import { type NamedTensor, type Tensor, nn, optim, stateDictOf } from '../src/index.js';
import { expectError, noise, relativeError, testDevice } from './helpers.js';

const device = await testDevice();

/** Leaves with gradients, and what they hold. */
function leaves(seed: number): Tensor[] {
  return [[5], [3, 7], [130]].map((shape, i) => {
    const leaf = device.tensor(noise(shape, seed + i).data, shape, { requiresGrad: true });
    return leaf;
  });
}

function giveGradients(tensors: Tensor[], seed: number): Float32Array[] {
  return tensors.map((tensor, i) => {
    const { data } = noise(tensor.shape, seed + i);
    tensor.reshape(tensor.shape).backward(device.tensor(data, tensor.shape));
    return data;
  });
}

/** PyTorch's AdamW in float64. */
function adamw(
  state: { p: number[]; m: number[]; v: number[] },
  g: Float32Array,
  step: number,
  { lr = 1e-3, b1 = 0.9, b2 = 0.999, eps = 1e-8, decay = 0.01 } = {},
): void {
  g.forEach((gradient, i) => {
    state.p[i] *= 1 - lr * decay;
    state.m[i] = b1 * state.m[i] + (1 - b1) * gradient;
    state.v[i] = b2 * state.v[i] + (1 - b2) * gradient ** 2;
    const spread = Math.sqrt(state.v[i]) / Math.sqrt(1 - b2 ** step) + eps;
    state.p[i] -= ((lr / (1 - b1 ** step)) * state.m[i]) / spread;
  });
}

const host = async (tensor: Tensor) => {
  const p = Array.from(await tensor.data());
  return { p, m: p.map(() => 0), v: p.map(() => 0) };
};

describe('AdamW', () => {
  it('takes the steps of a float64 reference, and skips what has no gradient', async () => {
    const tensors = leaves(1);
    const expected = await Promise.all(tensors.map(host));
    const optimizer = new optim.AdamW(tensors, { lr: 0.05 });
    const dispatches = device.stats().dispatches;
    const counts = [0, 0, 0];
    for (let step = 0; step < 4; step++) {
      const active = step === 1 ? [0, 2] : [0, 1, 2];
      const gradients = giveGradients(
        active.map((i) => tensors[i]),
        10 * step,
      );
      active.forEach((i, n) => adamw(expected[i], gradients[n], ++counts[i], { lr: 0.05 }));
      optimizer.step();
      optimizer.zeroGrad();
    }
    // One for each gradient; two that clear the moments; one a step until the numbers of steps differ, then more.
    expect(device.stats().dispatches - dispatches).toBe(11 + 2 + 1 + 2 + 3 + 3);
    for (const [i, tensor] of tensors.entries()) {
      expect(relativeError(await tensor.data(), expected[i].p)).toBeLessThan(1e-6);
    }
    optimizer.dispose();
    for (const tensor of tensors) tensor.dispose();
  });

  it('has groups with their own options, and learning rates that change', async () => {
    const [a, b] = leaves(2);
    const expected = [await host(a), await host(b)];
    const optimizer = new optim.AdamW([{ params: [a], lr: 0.1, weightDecay: 0 }, { params: [b] }], {
      lr: 0.2,
    });
    let gradients = giveGradients([a, b], 3);
    optimizer.step();
    adamw(expected[0], gradients[0], 1, { lr: 0.1, decay: 0 });
    adamw(expected[1], gradients[1], 1, { lr: 0.2 });
    optimizer.zeroGrad();
    optimizer.setLearningRate(0.01);
    gradients = giveGradients([a, b], 4);
    optimizer.step();
    adamw(expected[0], gradients[0], 2, { lr: 0.01, decay: 0 });
    adamw(expected[1], gradients[1], 2, { lr: 0.01 });
    expect(relativeError(await a.data(), expected[0].p)).toBeLessThan(1e-6);
    expect(relativeError(await b.data(), expected[1].p)).toBeLessThan(1e-6);
    optimizer.dispose();
    a.dispose();
    b.dispose();
  });

  it('leaves everything as it is where the norm of the gradients is not finite', async () => {
    const tensors = leaves(4);
    const before = await Promise.all(tensors.map((tensor) => tensor.data()));
    const optimizer = new optim.AdamW(tensors, { lr: 0.1 });
    const [first] = tensors;
    first.reshape([5]).backward(device.tensor([1, 2, NaN, 4, 5]));
    const norm = optimizer.clipGradNorm(1);
    expect(Number.isFinite(await norm.item())).toBe(false);
    optimizer.step({ unlessNonFinite: norm });
    expect(await first.data()).toEqual(before[0]);
    first.zeroGrad();
    giveGradients(tensors, 1);
    optimizer.step({ unlessNonFinite: optimizer.clipGradNorm() });
    const after = await first.data();
    expect(after).not.toEqual(before[0]);
    expect(after.every(Number.isFinite)).toBe(true);
    norm.dispose();
    optimizer.dispose();
    for (const tensor of tensors) tensor.dispose();
  });

  it('goes on from a saved state with the same bits', async () => {
    const run = async (interrupt: boolean): Promise<Float32Array> => {
      const tensors = leaves(5);
      let optimizer = new optim.AdamW(tensors, { lr: 0.05 });
      for (let step = 0; step < 4; step++) {
        if (interrupt && step === 2) {
          const saved = optimizer.stateDict();
          const copy = stateDictOf(
            await Promise.all(
              saved.keys().map(async (key) => [key, (await saved.get(key)) as NamedTensor] as const),
            ),
          );
          optimizer.dispose();
          optimizer = new optim.AdamW(tensors, { lr: 0.05 });
          await optimizer.loadStateDict(copy);
        }
        giveGradients(tensors, step);
        optimizer.step();
        optimizer.zeroGrad();
      }
      const result = (await tensors[2].data()) as Float32Array;
      optimizer.dispose();
      for (const tensor of tensors) tensor.dispose();
      return result;
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it('refuses what cannot be trained', () => {
    const leaf = device.tensor([1, 2], [2], { requiresGrad: true });
    const frozen = device.tensor([1, 2]);
    expectError(() => new optim.AdamW([]), 'argument', /at least one/);
    expectError(() => new optim.AdamW([frozen]), 'argument', /no leaf/);
    expectError(() => new optim.AdamW([leaf, leaf]), 'argument', /twice/);
    expectError(() => new optim.AdamW([leaf], { betas: [1, 0.9] }), 'argument', /range/);
    leaf.dispose();
    frozen.dispose();
  });
});

describe('SGD', () => {
  it.each([
    { momentum: 0, nesterov: false },
    { momentum: 0.9, nesterov: false },
    { momentum: 0.9, nesterov: true },
  ])('takes the steps of a float64 reference: $momentum $nesterov', async ({ momentum, nesterov }) => {
    const tensors = leaves(7);
    const values = await Promise.all(tensors.map(async (tensor) => Array.from(await tensor.data())));
    const velocity = values.map((one) => one.map(() => 0));
    const optimizer = new optim.SGD(tensors, { lr: 0.1, momentum, nesterov, weightDecay: 0.02 });
    for (let step = 0; step < 3; step++) {
      giveGradients(tensors, step).forEach((gradient, t) =>
        gradient.forEach((raw, i) => {
          const g = raw + 0.02 * values[t][i];
          velocity[t][i] = momentum * velocity[t][i] + g;
          values[t][i] -= 0.1 * (nesterov ? g + momentum * velocity[t][i] : velocity[t][i]);
        }),
      );
      optimizer.step();
      optimizer.zeroGrad();
    }
    for (const [t, tensor] of tensors.entries()) {
      expect(relativeError(await tensor.data(), values[t])).toBeLessThan(1e-6);
      tensor.dispose();
    }
    optimizer.dispose();
  });
});

describe('gradients of an optimizer', () => {
  it('are clipped to a common norm, whatever stale ones are left in memory', async () => {
    const tensors = leaves(8);
    const optimizer = new optim.SGD(tensors);
    giveGradients(tensors, 1);
    optimizer.zeroGrad();
    const some = [tensors[0], tensors[2]];
    const gradients = giveGradients(some, 2);
    giveGradients(some, 2); // accumulates
    const norm = Math.hypot(...gradients.flatMap((one) => Array.from(one, (x) => 2 * x)));
    const measured = optimizer.clipGradNorm(0.5);
    expect(await measured.item()).toBeCloseTo(norm, 4);
    for (const [i, tensor] of some.entries()) {
      const clipped = gradients[i].map((x) => (2 * x * 0.5) / (norm + 1e-6));
      expect(relativeError(await tensor.grad!.data(), clipped)).toBeLessThan(1e-6);
    }
    measured.dispose();
    optimizer.dispose();
    for (const tensor of tensors) tensor.dispose();
  });
});

describe('EMA', () => {
  it('averages, stands in for the weights, and is saved under their names', async () => {
    const layer = new nn.Linear(3, 4, { device });
    const start = noise([4, 3], 1).data;
    layer.weight.load(start);
    layer.bias!.load([0, 0, 0, 0]);
    const optimizer = new optim.SGD(layer.namedParameters(), { lr: 1 });
    const ema = new optim.EMA(optimizer, { decay: 0.5 });
    const moved = noise([4, 3], 2).data;
    layer.weight.load(moved);
    ema.update(); // the decay of the first update is 1/10
    const expected = moved.map((x, i) => 0.1 * start[i] + 0.9 * x);
    const saved = await ema.stateDict(layer).get('weight');
    expect(saved.shape).toEqual([4, 3]);
    expect(relativeError(saved.data as Float32Array, expected)).toBeLessThan(1e-6);
    await ema.use(async () => {
      expect(relativeError(await layer.weight.save(), expected)).toBeLessThan(1e-6);
    });
    expect(await layer.weight.save()).toEqual(moved);
    ema.dispose();
    optimizer.dispose();
    layer.dispose();
  });
});

describe('schedules', () => {
  it('warm up, stay or fall', () => {
    const constant = optim.constantSchedule({ warmupSteps: 4 });
    expect([0, 1, 3, 4, 100].map(constant)).toEqual([0.25, 0.5, 1, 1, 1]);
    const cosine = optim.cosineSchedule({ warmupSteps: 2, totalSteps: 12, minFactor: 0.1 });
    expect(cosine(0)).toBe(0.5);
    expect(cosine(2)).toBe(1);
    expect(cosine(7)).toBeCloseTo(0.55, 12);
    expect(cosine(12)).toBeCloseTo(0.1, 12);
    expect(cosine(1000)).toBeCloseTo(0.1, 12);
    expectError(() => optim.cosineSchedule({ totalSteps: -1 }), 'argument', /totalSteps/);
  });
});

describe('GradScaler', () => {
  it('halves after a step that overflowed, and doubles after good ones', () => {
    const scaler = new optim.GradScaler({ initialScale: 1024, growthInterval: 2 });
    expect(scaler.update(Infinity)).toBe(false);
    expect(scaler.scale).toBe(512);
    expect([scaler.update(1), scaler.update(1)]).toEqual([true, true]);
    expect(scaler.scale).toBe(1024);
    const other = new optim.GradScaler();
    other.load(scaler.state());
    expect(other.scale).toBe(1024);
  });
});
