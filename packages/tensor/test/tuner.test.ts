import { type Launch, choose, defineKernel, kernelsHash, launch } from '@paella/kernels';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readStored, setNoticeHandler, writeStored } from '#platform';
import { Device } from '../src/device/device.js';
import { Tuner } from '../src/device/tuner.js';
import { loadTuning, saveTuning, tuningName } from '../src/device/tuning.js';
import { scope } from '../src/scope.js';

const kernel = defineKernel('nothing', '@compute @workgroup_size(1) fn main() {}');
const someLaunch = (): Launch => launch(kernel, { workgroups: [1, 1, 1], cost: { flops: 0, bytes: 0 } });

describe('choose', () => {
  const caps = (asked: string[]) => ({
    isSoftware: true,
    maxWorkgroupsPerDimension: 65535,
    subgroups: false,
    subgroupSize: 0,
    matrixSubgroup: 0,
    choose: (key: string, candidates: readonly string[]) => {
      asked.push(key);
      return candidates[1];
    },
  });

  it('asks with sizes as powers of two, and only where there is a choice', () => {
    const asked: string[] = [];
    expect(choose(caps(asked), 'product', [1, 100, 600], ['a', 'b'])).toBe('b');
    expect(choose(caps(asked), 'product', [1, 100, 600], ['a'])).toBe('a');
    expect(asked).toEqual(['product 1×128×512']);
  });
});

describe('Tuner', () => {
  /** Runs of three variants: `x` is asked for twice a run and launches two kernels, `y` once and one. */
  function measured(time: Record<string, number>): ReturnType<Tuner['results']> {
    const tuner = new Tuner();
    for (let run = 0; run < 6; run++) {
      tuner.begin(Math.floor(run / 2));
      const samples = [];
      for (const key of ['y', 'x', 'x']) {
        const variants = key === 'x' ? ['a', 'b', 'c'] : ['a', 'b'];
        const milliseconds = time[key + tuner.choose(key, variants)] + (run % 2);
        for (let i = 0; i < (key === 'x' ? 2 : 1); i++) {
          const one = someLaunch();
          tuner.count(one);
          samples.push({ launch: one, milliseconds });
        }
      }
      tuner.end(samples);
      expect(tuner.rounds).toBe(3);
    }
    return tuner.results();
  }

  it('takes the fastest, by the least time of a call', () => {
    const [x, y] = measured({ xa: 3, xb: 1, xc: 2, ya: 5, yb: 4 });
    expect(x).toEqual({ key: 'x', milliseconds: { a: 6, b: 2, c: 4 }, choice: 'b' });
    expect(y).toEqual({ key: 'y', milliseconds: { a: 5, b: 4 }, choice: 'b' });
  });

  it('stays with the guess of the planner where the difference may be noise', () => {
    const [x, y] = measured({ xa: 100, xb: 98, xc: 120, ya: 4, yb: 5 });
    expect([x.choice, y.choice]).toEqual(['a', 'a']);
  });
});

describe('what is kept', () => {
  const name = 'tuning-of-a-test.json';
  let notices: string[] = [];
  beforeAll(() => {
    vi.stubEnv('PAELLA_CACHE', 'test-output/cache'); // browsers have IndexedDB
    setNoticeHandler((text) => notices.push(text));
    return () => vi.unstubAllEnvs();
  });
  afterEach(() => {
    notices = [];
  });

  it('comes back', async () => {
    const tuning = new Map([['product 1×128×512', 'b']]);
    await saveTuning(name, tuning);
    expect(await loadTuning(name)).toEqual(tuning);
    expect(await loadTuning('tuning-of-nothing.json')).toEqual(new Map());
    expect(notices).toEqual([]);
  });

  it('is ignored if the kernels have changed since', async () => {
    await saveTuning(name, new Map([['product 1', 'b']]));
    const text = (await readStored(name))!;
    expect(text).toContain(kernelsHash());
    await writeStored(name, text.replace(kernelsHash(), '00000000'));
    expect(await loadTuning(name)).toEqual(new Map());
    expect(notices).toEqual([]);
  });

  it('is ignored with a notice if it is damaged', async () => {
    for (const text of ['{', '[]', '{"choices":{"a":1}}']) {
      await writeStored(name, text);
      expect(await loadTuning(name)).toEqual(new Map());
    }
    // Once a process.
    expect(notices.join()).toMatch(/ignoring the damaged tuning-of-a-test\.json/);
  });

  it('has a name of its own for every driver', () => {
    const one = { vendor: 'Mesa', architecture: '', name: 'llvmpipe (LLVM 15)', driver: 'Mesa 23.1' };
    expect(tuningName(one)).toBe('tuning-mesa-llvmpipe-llvm-15-mesa-23.1.json');
    expect(tuningName({ ...one, driver: '../Mesa 23.2' })).toBe(
      'tuning-mesa-llvmpipe-llvm-15-..-mesa-23.2.json',
    );
  });
});

describe('device.tune', () => {
  it('refuses adapters without timestamps, and the meta device', async () => {
    const meta = await Device.create({ adapter: 'meta' });
    await expect(meta.tune(async () => {})).rejects.toMatchObject({ code: 'unsupported' });
    expect(scope(() => meta.ones([2]).add(1).shape)).toEqual([2]);
  });
});
