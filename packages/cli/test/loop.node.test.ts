import { Device, type StateDict, stateDictOf } from '@paella/tensor';
import { type Group, alone } from '@paella/tensor/distributed';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { localGroups } from '../../../test/local-group.js';
import type { Context } from '../src/context.js';
import { createOutput } from '../src/output.js';
import { RunFolder } from '../src/run/folder.js';
import { type Learner, runLoop } from '../src/run/loop.js';
import { readMetrics } from '../src/run/metrics.js';

const root = mkdtempSync(join(tmpdir(), 'paella-loop-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const newFolder = (): string => mkdtempSync(join(root, 'run-'));

describe('the training loop', () => {
  const config = {
    steps: 20,
    checkpoint_every: 4,
    keep_checkpoints: 2,
    log_every: 2,
    grid_every: 10,
    compare_every: 5,
  };
  /** Adds the step's number to a sum: wrong after any mistake in resuming. */
  class Adder implements Learner {
    readonly device: Device;
    sum = 0;
    exported = '';
    /** Called at each step and each evaluation. */
    on: { step?: (step: number) => unknown; evaluate?: () => void } = {};
    /** Between what it measures and what the others do. */
    offset = 0;
    nanAt = Infinity;
    differsAt = Infinity;
    steps = 0;
    constructor(device: Device) {
      this.device = device;
    }
    async begin(): Promise<void> {
      this.sum = 1000;
    }
    async step(step: number) {
      this.on.step?.(step);
      this.sum += step;
      this.steps = step + 1;
      const loss = step >= this.nanAt ? NaN : this.sum + this.offset;
      return { metrics: Promise.resolve({ loss, grad_norm: 1 }), images: 3 };
    }
    parts() {
      return { model: stateDictOf([['sum', { shape: [1], data: Float32Array.of(this.sum) }]]) };
    }
    async state() {
      return { sum: this.sum };
    }
    async restore(parts: Record<string, StateDict>, state: Record<string, unknown>): Promise<void> {
      this.sum = (await parts.model.get('sum')).data[0] as number;
      if (state.sum !== this.sum) throw new Error('parts and state are not of one step');
    }
    async evaluate() {
      this.on.evaluate?.();
      const picture = { width: 1, height: 1, data: new Uint8ClampedArray(4) };
      return { pictures: { samples: picture }, metrics: { psnr: this.sum } };
    }
    async firstDifference(): Promise<string | null> {
      return this.differsAt <= this.steps ? 'block.weight' : null;
    }
    async findNonFinite(step: number): Promise<string | null> {
      return step > 0 ? `linear with block.${step}.weight` : null;
    }
    async export(folder: string): Promise<void> {
      this.exported = folder;
    }
  }

  const train = async (
    path: string,
    resume: boolean,
    prepare?: (learner: Adder, stop: () => void) => void,
    group: Group = alone,
  ) => {
    const learner = new Adder(await Device.create({ adapter: 'meta' }));
    const controller = new AbortController();
    prepare?.(learner, () => controller.abort());
    const context: Context = {
      out: createOutput({ quiet: true }),
      signal: controller.signal,
      stopOn() {},
      checkInterrupt() {},
      openDevice: async () => learner.device,
    };
    const settings = { kind: 'vqgan', config: { training: config }, version: '1', resume };
    const run = group.rank === 0 ? RunFolder.open(path, settings) : null;
    try {
      await runLoop(run, learner, config, context, { group });
      return { learner, error: undefined };
    } catch (error) {
      return { learner, error: error as Error & { code?: string } };
    } finally {
      run?.close();
    }
  };
  const steps = (path: string): number[] => readMetrics(join(path, 'metrics.jsonl')).map(({ step }) => step);

  it('logs, saves and shows pictures as often as it is told', async () => {
    const path = newFolder();
    const { learner, error } = await train(path, false);
    expect(error).toBeUndefined();
    expect(learner.sum).toBe(1000 + 190);
    expect(steps(path)).toEqual([2, 4, 6, 8, 10, 10, 12, 14, 16, 18, 20, 20]);
    expect(readdirSync(join(path, 'checkpoints'))).toEqual(['step-00000016', 'step-00000020']);
    expect(readdirSync(join(path, 'grids'))).toEqual(['samples-00000010.png', 'samples-00000020.png']);
    expect(existsSync(join(path, 'report.html'))).toBe(true);
    expect(learner.exported).toContain('model');
  });

  it('saves when it is interrupted, also while it evaluates, and goes on to the same end', async () => {
    const interruptions: ((learner: Adder, stop: () => void) => void)[] = [
      (learner, stop) => (learner.on.step = (step) => step === 6 && stop()),
      (learner, stop) => (learner.on.evaluate = stop),
    ];
    for (const [i, interruption] of interruptions.entries()) {
      const path = newFolder();
      const { error } = await train(path, false, interruption);
      const at = [7, 10][i];
      expect(error).toMatchObject({ code: 'aborted' });
      expect(error?.message).toContain(`after step ${at}`);
      expect(readdirSync(join(path, 'checkpoints')).at(-1)).toBe(`step-${String(at).padStart(8, '0')}`);
      const { learner } = await train(path, true);
      expect(learner.sum).toBe(1000 + 190);
      expect(steps(path)).toEqual(
        [...new Set(steps(path))].flatMap((step) => (step % 10 ? step : [step, step])),
      );
    }
  });

  it('goes on from the last checkpoint after a crash', async () => {
    const path = newFolder();
    await train(path, false, (learner) => {
      learner.on.step = (step) => {
        if (step === 13) throw new Error('power cut');
      };
    });
    expect(steps(path).at(-1)).toBe(12);
    const { learner } = await train(path, true);
    expect(learner.sum).toBe(1000 + 190);
    expect(steps(path)).toEqual([2, 4, 6, 8, 10, 10, 12, 14, 16, 18, 20, 20]);
  });

  it('stops at a NaN, naming the step, the layer and the last good checkpoint', async () => {
    const path = newFolder();
    const { error } = await train(path, false, (learner) => (learner.nanAt = 13));
    expect(error).toMatchObject({ code: 'non-finite' });
    expect(error?.message).toContain('step 14: the loss is NaN');
    expect(error?.message).toContain('it begins in linear with block.13.weight');
    expect(error?.message).toContain(join(path, 'checkpoints', 'step-00000012'));
    expect(readdirSync(join(path, 'checkpoints')).at(-1)).toBe('step-00000012');
    const early = await train(newFolder(), false, (learner) => (learner.nanAt = 0));
    expect(early.error?.message).toContain('step 1: the loss is NaN');
    expect(early.error?.message).toContain('no checkpoint was saved');
  });

  describe('of three processes', () => {
    const together = (
      path: string,
      resume: boolean,
      prepare?: (rank: number) => Parameters<typeof train>[2],
    ) => Promise.all(localGroups(3).map((group) => train(path, resume, prepare?.(group.rank), group)));

    it('begins in the first, and writes once', async () => {
      const path = newFolder();
      const ends = await together(path, false);
      for (const { error } of ends) expect(error).toBeUndefined();
      expect(ends.map(({ learner }) => learner.sum)).toEqual([1190, 1190, 1190]);
      expect(steps(path)).toEqual([2, 4, 6, 8, 10, 10, 12, 14, 16, 18, 20, 20]);
      expect(ends.map(({ learner }) => learner.exported !== '')).toEqual([true, false, false]);
    });

    it('logs means', async () => {
      const path = newFolder();
      await together(path, false, (rank) => (learner) => {
        learner.on.step = () => void (learner.offset = 10 * rank);
      });
      const [{ loss, images_per_second }] = readMetrics(join(path, 'metrics.jsonl'));
      expect(loss).toBe(1001 + 10);
      expect(images_per_second).toBeGreaterThan(0);
    });

    it('stops in all when it is interrupted in one, and goes on with two', async () => {
      const path = newFolder();
      const ends = await together(path, false, (rank) => (learner, stop) => {
        learner.on.step = (step) => rank === 2 && step === 6 && stop();
      });
      for (const { error } of ends) expect(error).toMatchObject({ code: 'aborted' });
      expect(new Set(ends.map(({ error }) => error?.message)).size).toBe(1);
      const [a, b] = await Promise.all(localGroups(2).map((group) => train(path, true, undefined, group)));
      expect([a.learner.sum, b.learner.sum]).toEqual([1190, 1190]);
    });

    it('stops when weights drift apart, naming the parameter and the last checkpoint', async () => {
      const path = newFolder();
      const ends = await together(path, false, () => (learner) => (learner.differsAt = 7));
      for (const { error } of ends) {
        expect(error).toMatchObject({ code: 'drift' });
        expect(error?.message).toContain('step 10: block.weight is not the same in all processes');
        expect(error?.message).toContain(join(path, 'checkpoints', 'step-00000008'));
      }
    });
  });
});
