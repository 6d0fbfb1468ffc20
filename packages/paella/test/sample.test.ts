import {
  Device,
  PaellaError,
  Rng,
  type Stats,
  type Tensor,
  type TensorData,
  ops,
  scope,
} from '@paella/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type ConditionInputs,
  Paella,
  type PaellaConfig,
  type SampleOptions,
  type StepInfo,
  lossWeight,
  sample,
} from '../src/index.js';
import { relativeError } from '../../tensor/test/helpers.js';
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

const run = (
  options: Partial<SampleOptions> & { seed?: number; other?: ConditionInputs } = {},
): Promise<number[]> =>
  scope(async () => {
    const rng = new Rng(options.seed ?? 5);
    const tokens = await sample(unet, options.other ?? cond, {
      shape: [1, 8, 8],
      rng,
      uncond,
      steps: 4,
      ...options,
    });
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

  it('allocates, compiles and binds nothing with every option, once buffers have found their places', () =>
    scope(async () => {
      const init = new Rng(3).randint(device, 0, 48, [1, 8, 8]);
      const mask = device.tensor(new Uint32Array(64).fill(1), [1, 8, 8]);
      const regions = [{ cond: uncond, weight: device.full([8, 8], 0.3) }];
      const codebook = new Rng(4).normal(device, [48, 4]);
      for (const more of [
        { renoise: 'prev', typical: {} },
        { renoise: 'rand', mode: 'quant', codebook },
      ] as const) {
        const seen: Stats[] = [];
        const onStep = () => void seen.push(device.stats());
        await run({ steps: 11, init, mask, regions, onStep, ...more });
        for (const { buffersCreated, pipelines, bindGroupsCreated } of seen.slice(8, 10)) {
          expect({ buffersCreated, pipelines, bindGroupsCreated }).toEqual({
            buffersCreated: seen[7].buffersCreated,
            pipelines: seen[7].pipelines,
            bindGroupsCreated: seen[7].bindGroupsCreated,
          });
        }
      }
    }));

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

  it('never changes a token outside of the mask, whatever is put back', async () => {
    const masks = fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 64, maxLength: 64 });
    const modes = fc.constantFrom('start', 'prev', 'rand');
    await fc.assert(
      fc.asyncProperty(masks, modes, fc.constantFrom(1, 0.6), fc.nat(), (mask, renoise, tStart, seed) =>
        scope(async () => {
          const init = new Rng(seed).randint(device, 0, 48, [1, 8, 8]);
          const kept = await init.data();
          const seen: Promise<TensorData>[] = [];
          await sample(unet, cond, {
            shape: [2, 8, 8],
            rng: new Rng(seed),
            init,
            mask: device.tensor(Uint32Array.from(mask), [1, 8, 8]),
            steps: 3,
            renoiseSteps: 3,
            renoise,
            tStart,
            tEnd: 0.3,
            onStep: ({ tokens }) => void seen.push(tokens.data()),
          });
          expect(seen).toHaveLength(3);
          for (const tokens of await Promise.all(seen)) {
            expect(tokens.map((token, j) => (mask[j % 64] ? kept[j % 64] : token))).toEqual(
              Uint32Array.from({ length: 128 }, (_, j) => kept[j % 64]),
            );
          }
        }),
      ),
      { numRuns: 6 },
    );
  });

  it('starts what a mask lets draw from noise, or from tokens noised to the start', () =>
    scope(async () => {
      const init = device.tensor(new Uint32Array(64).fill(7), [1, 8, 8]);
      const mask = device.tensor(
        Uint32Array.from({ length: 64 }, (_, j) => Number(j >= 32)),
        [1, 8, 8],
      );
      const initNoise = device.tensor(new Uint32Array(64).fill(9), [1, 8, 8]);
      // With no step to speak of: everything is put back before it is looked at.
      const options = { init, mask, initNoise, steps: 1, renoiseSteps: 1, tEnd: 1 } as const;
      const started = await run({ ...options, renoise: 'prev' });
      expect(started).toEqual(Array.from({ length: 64 }, (_, j) => (j < 32 ? 7 : 9)));
      const half = await run({ ...options, renoise: 'prev', tStart: 0.5 });
      expect(half.slice(0, 32)).toEqual(started.slice(0, 32));
      expect(new Set(half.slice(32))).toEqual(new Set([7, 9]));
    }));

  it('puts back the tokens before a step, or fresh noise', () =>
    scope(async () => {
      const init = new Rng(3).randint(device, 0, 48, [1, 8, 8]);
      const everything = { init, tEnd: 1, renoiseSteps: 4 } as const;
      expect(await run({ ...everything, renoise: 'prev' })).toEqual(Array.from(await init.data()));
      const rng = new Rng(5);
      // Each step takes a stream for drawing, one for fresh noise and one for where it goes.
      rng.counter = 1 + 3 * 3 + 1;
      const fresh = Array.from(await rng.randint(device, 0, 48, [1, 8, 8]).data());
      expect(await run({ ...everything, renoise: 'rand' })).toEqual(fresh);
    }));

  it('draws a picture the same in whatever batch it is', () =>
    scope(async () => {
      const part = async (first: number, count: number): Promise<number[]> => {
        const rng = new Rng(8).forEntries(first);
        const tokens = await sample(unet, cond, { shape: [count, 8, 8], rng, uncond, steps: 3 });
        return Array.from(await tokens.data());
      };
      const all = await part(0, 3);
      expect([...(await part(0, 1)), ...(await part(1, 2))]).toEqual(all);
      expect(all.slice(64, 128)).not.toEqual(all.slice(0, 64));
    }));

  it('takes a condition of any length for each picture', () =>
    scope(async () => {
      const clip = new Rng(7).normal(device, [1, unet.config.clip_embd]);
      const list = [cond, uncond, { ...cond, clip, attnWeights: [1.2, 0.4] }];
      const draw = async (conditions: ConditionInputs[], first: number) => {
        const rng = new Rng(2).forEntries(first);
        const options = { shape: [conditions.length, 8, 8], rng, uncond, steps: 3 } as const;
        return Array.from(await (await sample(unet, conditions, options)).data());
      };
      const alone = [];
      for (const [i, one] of list.entries()) alone.push(...(await draw([one], i)));
      expect(await draw(list, 0)).toEqual(alone);
      await expect(sample(unet, list, { shape: [2, 8, 8], rng: new Rng(1) })).rejects.toThrow(
        /3 pictures, but 2/,
      );
    }));

  it('mixes the conditions of regions by their share', () =>
    scope(async () => {
      const other = { byt5: new Rng(12).normal(device, [1, 3, 20]) };
      const share = (value: (column: number) => number) =>
        device.tensor(
          Float32Array.from({ length: 64 }, (_, j) => value(j % 8)),
          [8, 8],
        );
      const plain = await run();
      const left = share((x) => Number(x < 4));
      const right = share((x) => Number(x >= 4));
      // One condition, divided: nothing changes.
      expect(await run({ regions: [{ cond, weight: left }] })).toEqual(plain);
      expect(await run({ regions: [{ cond, weight: share(() => 0.5) }] })).toEqual(plain);
      const halves = [left, right].map((weight) => ({ cond, weight }));
      expect(await run({ regions: halves })).toEqual(plain);
      // All or nothing.
      const otherAlone = await run({ other });
      expect(otherAlone).not.toEqual(plain);
      expect(await run({ regions: [{ cond: other, weight: share(() => 1) }] })).toEqual(otherAlone);
      expect(await run({ regions: [{ cond: other, weight: share(() => 0) }] })).toEqual(plain);
      // The logits of a step are the mixture of the conditions' own.
      const init = new Rng(3).randint(device, 0, 48, [1, 8, 8]);
      const ramp = share((x) => x / 7);
      const [a, b, u] = [cond, other, uncond].map((inputs) => unet.forward(init, 1, inputs));
      const mixed = a.add(b.sub(a).mul(ramp.reshape([1, 8, 8, 1])));
      const expected = await u.add(mixed.sub(u).mul(3)).argmax().data();
      const regions = [{ cond: other, weight: ramp }];
      const drawn = await run({ init, cfg: 3, steps: 1, mode: 'argmax', regions });
      expect(drawn).toEqual(Array.from(expected));
    }));

  it('draws typical tokens only, if told to', () =>
    scope(async () => {
      const init = new Rng(3).randint(device, 0, 48, [1, 8, 8]);
      const typical = { mass: 0.3, minTokens: 2 };
      const drawn = await run({ init, cfg: null, steps: 1, typical, temperature: 5 });
      const logits = await ops.typicalFilter(unet.forward(init, 1, cond), typical).data();
      drawn.forEach((token, i) => expect(logits[i * 48 + token]).toBeGreaterThan(-1e30));
      expect(drawn).not.toEqual(await run({ init, cfg: null, steps: 1, temperature: 5 }));
      expect(await run({ typical: { mass: 1 } })).toEqual(await run());
    }));

  it('takes the code nearest to the expected one, if told to', () =>
    scope(async () => {
      const init = new Rng(3).randint(device, 0, 48, [1, 8, 8]);
      const codebook = new Rng(4).normal(device, [48, 4]);
      const options = { init, cfg: null, steps: 1, temperature: 0.6, codebook } as const;
      const [p, codes] = await Promise.all([
        unet
          .forward(init, 1, cond)
          .mul(1 / 0.6)
          .softmax()
          .data(),
        codebook.data(),
      ]);
      const tokens = [...Array(48).keys()];
      const expected = Array.from({ length: 64 }, (_, i) => {
        const mean = [0, 1, 2, 3].map((c) =>
          tokens.reduce((sum, k) => sum + p[i * 48 + k] * codes[4 * k + c], 0),
        );
        const distances = tokens.map((k) => mean.reduce((sum, m, c) => sum + (codes[4 * k + c] - m) ** 2, 0));
        return distances.indexOf(Math.min(...distances));
      });
      expect(await run({ ...options, mode: 'quant' })).toEqual(expected);
      expect(await run({ ...options, quantSteps: 0 })).toEqual(expected);
      // It takes over from a step on.
      const plain = await run({ seed: 6 });
      expect(await run({ seed: 6, codebook, quantSteps: 4 })).toEqual(plain);
      expect(await run({ seed: 6, codebook, quantSteps: 3 })).not.toEqual(plain);
      await expect(run({ mode: 'quant' })).rejects.toThrow(/vectors of the tokens/);
      await expect(run({ quantSteps: 2 })).rejects.toThrow(/vectors of the tokens/);
    }));

  it('tells how uncertain the tokens were, and draws the same', () =>
    scope(async () => {
      const init = new Rng(3).randint(device, 0, 48, [1, 8, 8]);
      const typical = { mass: 0.6 };
      for (const more of [{}, { typical }]) {
        const [u, c] = [uncond, cond].map((inputs) => unet.forward(init, 1, inputs));
        const guided = u.add(c.sub(u).mul(3));
        const counted = more.typical ? ops.typicalFilter(guided, typical) : guided;
        const expected = ops.entropy(counted.mul(1 / 0.5));
        const seen: Promise<TensorData>[] = [];
        const onStep = ({ entropy }: StepInfo) => {
          expect(entropy?.toString()).toBe('f32 [1,8,8]');
          seen.push(entropy!.data());
        };
        const options = { init, cfg: 3, steps: 3, temperature: [0.5, 0.2], ...more } as const;
        const drawn = await run({ ...options, entropy: true, onStep });
        expect(seen).toHaveLength(3);
        expect(relativeError(await seen[0], await expected.data())).toBeLessThan(1e-5);
        expect(drawn).toEqual(await run(options));
      }
    }));

  it('computes no entropy that nobody asked for, and frees what was', async () => {
    const work = async (entropy: boolean) => {
      const steps: (Tensor | undefined)[] = [];
      const { liveTensors } = device.memory();
      const { dispatches } = device.stats();
      await run({ entropy, onStep: (info) => void steps.push(info.entropy) });
      expect(device.memory().liveTensors).toBe(liveTensors);
      return { dispatches: device.stats().dispatches - dispatches, told: steps.filter(Boolean).length };
    };
    const [without, withIt] = [await work(false), await work(true)];
    expect(without.told).toBe(0);
    expect(withIt.told).toBe(4);
    // The last layer, the temperature, and the five launches of the entropy.
    expect(withIt.dispatches - without.dispatches).toBe(4 * 7);
  });

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
    const refuse = async (more: Partial<SampleOptions>, code: string, message: RegExp): Promise<void> => {
      const refused = sample(unet, cond, { ...options, ...more });
      await expect(refused).rejects.toMatchObject({ code });
      await expect(refused).rejects.toThrow(message);
    };
    const mask = device.tensor(new Uint32Array(64), [1, 8, 8]);
    await refuse({ mask }, 'argument', /mask needs/);
    await refuse({ init: device.tensor(new Uint32Array(128), [1, 8, 16]) }, 'shape', /init must be/);
    const regions = [{ cond, weight: device.ones([4, 8]) }];
    await refuse({ regions }, 'shape', /weight must be f32 \[8,8\]/);
  });
});
