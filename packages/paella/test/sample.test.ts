import { Device, PaellaError, Rng, type Stats, type Tensor, ops, scope } from '@paella/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import { Paella, type PaellaConfig, type SampleOptions, lossWeight, sample } from '../src/index.js';
import { checkpoint, json, testDevice } from './helpers.js';

let device: Device;
let unet: Paella;
let cond: { byt5: Tensor };
let uncond: { byt5: Tensor };

beforeAll(async () => {
  device = await testDevice();
  unet = new Paella(await json<PaellaConfig>('paella-tiny.json'), { device });
  await unet.loadStateDict(await checkpoint('paella-tiny.pt'));
  const rng = new Rng(11);
  cond = { byt5: rng.normal(device, [1, 5, 20]).keep() };
  uncond = { byt5: rng.normal(device, [1, 1, 20]).keep() };
});

const run = (options: Partial<SampleOptions> & { seed?: number } = {}): Promise<number[]> =>
  scope(async () => {
    const rng = new Rng(options.seed ?? 5);
    const tokens = await sample(unet, cond, { shape: [1, 8, 8], rng, uncond, steps: 4, ...options });
    return Array.from(await tokens.data());
  });

describe('lossWeight', () => {
  it('counts kept tokens the less, the less noise there is', () =>
    scope(async () => {
      const mask = device.tensor(Uint32Array.from([1, 0, 0, 1]), [2, 1, 2]);
      const weights = lossWeight(device.tensor([0.2, 1]), mask);
      expect(weights.shape).toEqual([2, 1, 2]);
      const values = await weights.data();
      [1, 0.3 + 0.7 * 0.2, 1, 1].forEach((expected, i) => expect(values[i]).toBeCloseTo(expected, 6));
    }));
});

describe('sample', () => {
  it('gives equal tokens for equal seeds, and others for others', async () => {
    const first = await run({ seed: 1 });
    expect(await run({ seed: 1 })).toEqual(first);
    expect(await run({ seed: 2 })).not.toEqual(first);
    expect(first.every((token) => token < 48)).toBe(true);
  });

  it('allocates and compiles nothing after the second step, and binds nothing new after the third', async () => {
    const seen: Stats[] = [];
    await run({ steps: 6, onStep: () => void seen.push(device.stats()) });
    expect(seen).toHaveLength(6);
    for (const { buffersCreated, pipelines } of seen.slice(2)) {
      expect({ buffersCreated, pipelines }).toEqual({
        buffersCreated: seen[1].buffersCreated,
        pipelines: seen[1].pipelines,
      });
    }
    // The tokens of odd and even steps live in two buffers that take turns.
    for (const later of seen.slice(3)) expect(later.bindGroupsCreated).toBe(seen[2].bindGroupsCreated);
  });

  it('frees everything it made', async () => {
    await run();
    const before = device.memory();
    await run();
    expect(device.memory()).toEqual(before);
  });

  it('guides as if the logits were combined', () =>
    scope(async () => {
      const init = new Rng(3).randint(device, 0, 48, [1, 8, 8]);
      const [c, u] = [cond, uncond].map((inputs) => unet.forward(init, 1, inputs));
      const expected = await u.add(c.sub(u).mul(3)).argmax().data();
      const drawn = await run({ init, cfg: 3, steps: 1, mode: 'argmax' });
      expect(drawn).toEqual(Array.from(expected));
    }));

  it('runs unguided without guidance, and after the conditional steps', () =>
    scope(async () => {
      const init = new Rng(3).randint(device, 0, 48, [1, 8, 8]);
      const options = { init, steps: 1, mode: 'argmax' } as const;
      const expected = Array.from(await unet.forward(init, 1, cond).argmax().data());
      expect(await run({ ...options, cfg: null })).toEqual(expected);
      expect(await run({ ...options, cfg: 9, conditionalSteps: 0 })).toEqual(expected);
      expect(await run({ ...options, cfg: 9, uncond: undefined })).toEqual(expected);
    }));

  it('renoises with the initial noise, at the share of the next step', () =>
    scope(async () => {
      const initNoise = new Rng(3).randint(device, 0, 48, [1, 8, 8]);
      const noise = Array.from(await initNoise.data());
      // Noised entirely after every step, the last one included: nothing but the initial noise is left.
      expect(await run({ initNoise, tEnd: 1, renoiseSteps: 4 })).toEqual(noise);
      expect(await run({ initNoise, renoiseSteps: 0 })).not.toEqual(noise);
    }));

  it('draws from the distribution that the U-Net predicts', () =>
    scope(async () => {
      // The same noised picture many times over, one step: each position is drawn `draws` times.
      const [copies, rounds] = [64, 8];
      const draws = copies * rounds;
      const tau = 1.5;
      const one = await new Rng(3).randint(device, 0, 48, [1, 8, 8]).data();
      const many = new Uint32Array(copies * 64).map((_, i) => one[i % 64]);
      const init = device.tensor(many, [copies, 8, 8]);
      const repeated = { byt5: cond.byt5.add(device.zeros([copies, 5, 20])) };
      const probabilities = await unet
        .forward(device.tensor(Uint32Array.from(one), [1, 8, 8]), 1, cond)
        .mul(1 / tau)
        .softmax()
        .data();
      const counts = new Float64Array(64 * 48);
      for (let seed = 0; seed < rounds; seed++) {
        const options = { init, rng: new Rng(seed), steps: 1, cfg: null, temperature: tau };
        const drawn = await sample(unet, repeated, { shape: [copies, 8, 8], ...options });
        (await drawn.data()).forEach((token, i) => counts[(i % 64) * 48 + token]++);
      }
      // Pearson's statistic over 64 positions of 48 classes: 64·47 degrees of freedom, nearly normal.
      let chi2 = 0;
      counts.forEach((count, i) => {
        const expected = probabilities[i] * draws;
        chi2 += (count - expected) ** 2 / expected;
      });
      const freedom = 64 * 47;
      const z = (chi2 - freedom) / Math.sqrt(2 * freedom);
      console.log(`chi-square ${chi2.toFixed(0)} for ${freedom} degrees of freedom, z = ${z.toFixed(2)}`);
      expect(Math.abs(z)).toBeLessThan(4);
    }));

  it('never holds the logits', () =>
    scope(async () => {
      // A head far larger than the rest of the network, so that the logits would stand out.
      const config = { ...(await json<PaellaConfig>('paella-tiny.json')), num_labels: 8192 };
      const big = new Paella(config, { device, rng: new Rng(1) });
      const shape = [2, 32, 32] as const;
      const pair = (inputs: { byt5: Tensor }) => ({ byt5: ops.cat([inputs.byt5, inputs.byt5], 0) });
      await device.flush();
      device.trim();
      device.resetPeak();
      const { peakBytes: before } = device.memory();
      await sample(big, pair(cond), { shape, rng: new Rng(1), uncond: pair(uncond), steps: 2 });
      const extra = device.memory().peakBytes - before;
      const logits = 2 * 32 * 32 * 8192 * 4;
      console.log(
        `peak above the weights ${(extra / 2 ** 20).toFixed(1)} MiB, logits ${logits / 2 ** 20} MiB`,
      );
      expect(extra).toBeLessThan(logits / 4);
      big.dispose();
    }));

  it('stops between steps when told to', async () => {
    const stop = new AbortController();
    const onStep = ({ step }: { step: number }) => {
      if (step === 1) stop.abort();
    };
    const running = run({ signal: stop.signal, onStep });
    await expect(running).rejects.toThrow(PaellaError);
    await expect(running).rejects.toMatchObject({ code: 'aborted', message: 'stopped after 2 of 4 steps' });
  });

  it('refuses options that make no sense', async () => {
    const options = { shape: [1, 8, 8], rng: new Rng(1) } as const;
    await expect(sample(unet, cond, { ...options, steps: 0 })).rejects.toThrow(/steps must be/);
    await expect(sample(unet, cond, { ...options, temperature: 0 })).rejects.toThrow(/temperature must be/);
    await expect(sample(unet, cond, { ...options, tStart: 2 })).rejects.toThrow(/tStart and tEnd/);
  });
});
