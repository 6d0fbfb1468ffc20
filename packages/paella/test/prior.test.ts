import { Device, Rng, type StateDict, scope, stateDictOf } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import { PRIOR_V1, PriorModel, type PriorConfig, alphaCumprod, diffuse, samplePrior } from '../src/index.js';
import { stepFactors } from '../src/prior/diffuzz.js';
import { checkpoint, expectGolden, floats, input, sub, testDevice } from './helpers.js';

const TINY: PriorConfig = { clip_r: 10, c_hidden: 16, c_r: 8, num_blocks: 3 };

async function tinyPrior(device: Device, golden: StateDict): Promise<PriorModel> {
  const prior = new PriorModel(TINY, { device });
  await prior.loadStateDict(sub(golden, 'state/'));
  return prior;
}

describe('PriorModel against PyTorch', () => {
  it('predicts the reference noise', () =>
    scope(async () => {
      const device = await testDevice();
      const golden = await checkpoint('prior-tiny.golden.safetensors');
      const prior = await tinyPrior(device, golden);
      const [x, c] = await Promise.all(['x', 'c'].map((key) => input(device, golden, key)));
      await expectGolden(prior.forward(x, await floats(golden, 'r'), c), golden, 'output');
      expect(() => prior.forward(x, [0.5], c)).toThrow(/\[1,10\]/);
      prior.dispose();
    }));

  it('has the 292 keys of the released checkpoint', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const state = new PriorModel(PRIOR_V1, { device }).stateDict();
    const shapes = Object.fromEntries(state.keys().map((key) => [key, state.info(key).shape]));
    expect(Object.keys(shapes)).toHaveLength(292);
    const count = Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(count).toBe(899_770_624);
    expect(shapes).toMatchObject({
      'blocks.0.weight': [1280, 1024],
      'blocks.48.0.weight': [5120, 2368],
      'blocks.48.1.bias': [5120],
      'blocks.48.3.weight': [1280, 5120],
      'blocks.48.4.weight': [1280],
      'blocks.49.weight': [1024, 1280],
    });
  });
});

describe('the noise schedule', () => {
  it('is that of the reference', async () => {
    const golden = await checkpoint('prior-tiny.golden.safetensors');
    const expected = await floats(golden, 'alpha_cumprod');
    (await floats(golden, 'alpha_t')).forEach((t, i) => expect(alphaCumprod(t)).toBeCloseTo(expected[i], 6));
    // From the reference's table of check values.
    for (const [t, alpha] of [
      [1, 0.0001],
      [60 / 61, 0.0006525774],
      [0.5, 0.4938435904],
      [1 / 61, 0.9987109144],
      [0, 0.9999],
    ]) {
      expect(alphaCumprod(t)).toBeCloseTo(alpha, 9);
    }
  });

  it('mixes signal and noise', () =>
    scope(async () => {
      const device = await testDevice();
      const [x, noise] = [device.tensor([1, 2]), device.tensor([-1, 3])];
      const mixed = await diffuse(x, 0.5, noise).data();
      const [a, b] = [Math.sqrt(0.4938435904), Math.sqrt(1 - 0.4938435904)];
      expect(mixed[0]).toBeCloseTo(a - b, 5);
      expect(mixed[1]).toBeCloseTo(2 * a + 3 * b, 5);
    }));

  it("ends DDPM with the reference's last step", () => {
    // Inputs by the reference's rule for synthetic values.
    const filled = (name: string): number[] => {
      const sum = new TextEncoder().encode(name).reduce((total, byte) => total + byte, 0);
      return Array.from({ length: 12 }, (_, j) => 0.3 * Math.sin(0.7 * j + 0.01 * sum));
    };
    const { state, predicted, fresh } = stepFactors('ddpm', 0.8, 0);
    expect(fresh).toBe(0);
    const [x, n] = [filled('x'), filled('n')];
    const result = x.map((value, i) => state * value + predicted * n[i]);
    const expected = [0.081956, 0.018963, -0.052949, -0.099958, -0.099955, -0.052942, 0.01897, 0.081961];
    expected.forEach((value, i) => expect(result[i]).toBeCloseTo(value, 6));
    [0.106404, 0.080804, 0.0172, -0.054493].forEach((value, i) =>
      expect(result[8 + i]).toBeCloseTo(value, 6),
    );
  });
});

describe('samplePrior', () => {
  it('takes the DDIM steps of the reference', () =>
    scope(async () => {
      const device = await testDevice();
      const golden = await checkpoint('prior-tiny.golden.safetensors');
      const prior = await tinyPrior(device, golden);
      const [init, c] = await Promise.all(['x', 'c'].map((key) => input(device, golden, key)));
      const options = { rng: new Rng(1), timesteps: 5, cfg: 3, sampler: 'ddim', init } as const;
      await expectGolden(await samplePrior(prior, c, options), golden, 'ddim_5_cfg3');
      prior.dispose();
    }));

  it('takes the DDPM steps of a twin in double precision', () =>
    scope(async () => {
      const device = await testDevice();
      const golden = await checkpoint('prior-tiny.golden.safetensors');
      const prior = await tinyPrior(device, golden);
      const c = await input(device, golden, 'c');
      const uncond = new Rng(9).normal(device, c.shape);
      const drawn = await samplePrior(prior, c, { rng: new Rng(7), timesteps: 6, cfg: 2, uncond });
      // The twin takes the same draws: the start, then one a step but the last.
      const rng = new Rng(7);
      const draws: number[][] = [];
      for (let i = 0; i < 6; i++) draws.push(Array.from(await rng.normal(device, c.shape).data()));
      const twin = await Twin.of(sub(golden, 'state/'));
      const rows = async (of: { data(): Promise<ArrayLike<number>> }) => inRows(Array.from(await of.data()));
      const expected = twin.ddpm(draws.map(inRows), await rows(c), await rows(uncond), 2);
      const state = stateDictOf([['twin', { shape: [2, 10], data: Float32Array.from(expected.flat()) }]]);
      await expectGolden(drawn, state, 'twin');
      prior.dispose();
    }));

  it('allocates and compiles nothing after the second step, and binds nothing new after the third', () =>
    scope(async () => {
      const device = await testDevice();
      const prior = new PriorModel(TINY, { device, rng: new Rng(1) });
      const seen: number[][] = [];
      const bound: number[] = [];
      const onStep = () => {
        const { buffersCreated, bindGroupsCreated, pipelines } = device.stats();
        seen.push([buffersCreated, pipelines]);
        bound.push(bindGroupsCreated);
      };
      await samplePrior(prior, device.zeros([1, 10]), { rng: new Rng(2), timesteps: 6, onStep });
      expect(seen).toHaveLength(6);
      // The last step draws nothing, so it is another one.
      for (const later of seen.slice(2)) expect(later).toEqual(seen[1]);
      // The vectors of odd and even steps live in two buffers that take turns.
      for (const later of bound.slice(3, 5)) expect(later).toBe(bound[2]);
      prior.dispose();
    }));

  it('stops between steps, and refuses what it cannot do', () =>
    scope(async () => {
      const device = await testDevice();
      const prior = new PriorModel(TINY, { device, rng: new Rng(1) });
      const c = device.zeros([1, 10]);
      const controller = new AbortController();
      const onStep = () => controller.abort();
      const options = { rng: new Rng(2), signal: controller.signal, onStep };
      await expect(samplePrior(prior, c, options)).rejects.toMatchObject({ code: 'aborted' });
      await expect(samplePrior(prior, c, { rng: new Rng(2), timesteps: 0 })).rejects.toThrow(/timesteps/);
      prior.dispose();
    }));
});

const inRows = (values: readonly number[]): number[][] => [values.slice(0, 10), values.slice(10)];

/** The prior and its DDPM written from the formulas, row by row and in double precision. */
class Twin {
  readonly #weights: ReadonlyMap<string, Float32Array>;

  private constructor(weights: ReadonlyMap<string, Float32Array>) {
    this.#weights = weights;
  }

  static async of(state: StateDict): Promise<Twin> {
    const weights = new Map<string, Float32Array>();
    for (const key of state.keys()) weights.set(key, await floats(state, key));
    return new Twin(weights);
  }

  ddpm(draws: number[][][], cond: number[][], uncond: number[][], cfg: number): number[][] {
    const steps = draws.length;
    return cond.map((text, row) => {
      let x = draws[0][row];
      for (let i = 1; i <= steps; i++) {
        const [t, previous] = [i, i + 1].map((n) => 1 - n / (steps + 1));
        const without = this.#noise(x, t, uncond[row]);
        const noise = this.#noise(x, t, text).map((value, j) => without[j] + cfg * (value - without[j]));
        const [now, then] = [alphaCumprod(t), alphaCumprod(previous)];
        const alpha = now / then;
        const mean = x.map((v, j) => (v - ((1 - alpha) * noise[j]) / Math.sqrt(1 - now)) / Math.sqrt(alpha));
        const deviation = Math.sqrt(((1 - alpha) * (1 - then)) / (1 - now));
        x = i === steps ? mean : mean.map((value, j) => value + deviation * draws[i][row][j]);
      }
      return x;
    });
  }

  #noise(x: number[], t: number, text: number[]): number[] {
    const half = TINY.c_r / 2;
    const angles = Array.from(
      { length: half },
      (_, i) => t * 10000 * Math.exp((-i * Math.log(10000)) / (half - 1)),
    );
    const known = [...text, ...angles.map(Math.sin), ...angles.map(Math.cos)];
    let h = this.#linear('blocks.0', x);
    for (let i = 1; i <= TINY.num_blocks; i++) {
      const wide = this.#norm(`blocks.${i}.1`, this.#linear(`blocks.${i}.0`, [...h, ...known])).map(gelu);
      const back = this.#norm(`blocks.${i}.4`, this.#linear(`blocks.${i}.3`, wide));
      h = h.map((value, j) => value + back[j]);
    }
    return this.#linear(`blocks.${TINY.num_blocks + 1}`, h);
  }

  #linear(name: string, x: number[]): number[] {
    const weight = this.#weights.get(`${name}.weight`)!;
    const bias = this.#weights.get(`${name}.bias`);
    return Array.from({ length: weight.length / x.length }, (_, row) =>
      x.reduce((sum, value, j) => sum + value * weight[row * x.length + j], bias?.[row] ?? 0),
    );
  }

  #norm(name: string, x: number[]): number[] {
    const [weight, bias] = [this.#weights.get(`${name}.weight`)!, this.#weights.get(`${name}.bias`)!];
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    const variance = x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
    return x.map((v, i) => ((v - mean) / Math.sqrt(variance + 1e-5)) * weight[i] + bias[i]);
  }
}

/** `x·Φ(x)`, by the series of the error function, which suffices for small arguments. */
function gelu(x: number): number {
  const z = x / Math.SQRT2;
  let term = z;
  let sum = z;
  for (let n = 1; n < 100; n++) {
    term *= (-z * z) / n;
    sum += term / (2 * n + 1);
  }
  return 0.5 * x * (1 + (2 / Math.sqrt(Math.PI)) * sum);
}
