/** The loop that every training run is: step, measure, save, and go on where it was. */
import { type Device, PaellaError, type StateDict } from '@paella/tensor';
import { type Group, alone, shareState, shareValue } from '@paella/tensor/distributed';
import type { RgbaImage } from 'paella';
import type { Context } from '../context.js';
import {
  type Checkpoint,
  type CheckpointState,
  loadLatestCheckpoint,
  saveCheckpoint,
} from './checkpoints.js';
import type { RunFolder } from './folder.js';
import { type Metrics, MetricsLog } from './metrics.js';
import { writeReport } from './report.js';

/** What is trained, perhaps by several processes, which all have one. Only the first begins, evaluates and exports. */
export interface Learner {
  readonly device: Device;
  /** Before the first step of a run, not of one that goes on. */
  begin(): Promise<void>;
  /** Takes step `step`, counted from 0. The measurements may arrive later; `loss` and `grad_norm` are among them. */
  step(step: number): Promise<{ metrics: Promise<Metrics>; images: number }>;
  /** Everything that has to be saved, and the inverse. All processes ask for the state together. */
  parts(): Record<string, StateDict>;
  state(): Promise<CheckpointState>;
  restore(parts: Record<string, StateDict>, state: CheckpointState): Promise<void>;
  /** Pictures that show where the run is, and measurements that cost too much for every step. */
  evaluate(step: number): Promise<{ pictures: Record<string, RgbaImage>; metrics: Metrics }>;
  /** The first parameter that is not the same in all processes; null if all are. */
  firstDifference(): Promise<string | null>;
  /** Repeats a step without learning from it, and says where numbers stop being finite; null if nowhere. */
  findNonFinite(step: number): Promise<string | null>;
  /** Writes the model for others to use. */
  export(folder: string): Promise<void>;
}

export interface LoopConfig {
  steps: number;
  checkpoint_every: number;
  keep_checkpoints: number;
  log_every: number;
  grid_every: number;
  /** How often processes compare their weights. */
  compare_every: number;
}

export interface LoopOptions {
  group?: Group;
  /** Hears of each checkpoint, in all processes. */
  onCheckpoint?: (path: string) => void;
}

/**
 * Trains until `steps`, or until Ctrl-C in any process, which saves a checkpoint first.
 *
 * @param run the folder, in the first process of the group; null in the others
 * @returns the last measurements
 * @throws PaellaError `non-finite` naming step, parameters and the last good checkpoint; `aborted` after Ctrl-C
 */
export async function runLoop(
  run: RunFolder | null,
  learner: Learner,
  { steps, checkpoint_every, keep_checkpoints, log_every, grid_every, compare_every }: LoopConfig,
  { out, signal }: Context,
  { group = alone, onCheckpoint = () => {} }: LoopOptions = {},
): Promise<{ step: number; metrics: Metrics }> {
  const latest = run && (await loadLatestCheckpoint(run.path, (message) => out.note(message)));
  const { step: from, path } = await shareValue(group, { step: latest?.step ?? 0, path: latest?.path });
  if (path === undefined) await begin(learner, group);
  else await restore(learner, group, latest);
  let lastGood = path;
  if (path !== undefined) onCheckpoint(path);
  const log = run && new MetricsLog(run, from);
  let metrics: Metrics = {};
  let images = 0;
  let since = performance.now();
  let pending: { step: number; metrics: Promise<Metrics> } | null = null;

  /** Waits for the measurements of the step before, so that the device always has work. */
  const settle = async (): Promise<void> => {
    if (!pending) return;
    const { step, metrics: promise } = pending;
    pending = null;
    const values = await promise;
    if (!Number.isFinite(values.loss) || !Number.isFinite(values.grad_norm)) {
      throw nonFinite(step + 1, values, await learner.findNonFinite(step), lastGood);
    }
    const done = step + 1;
    out.progress(`loss ${values.loss.toFixed(4)}, step`, done, steps);
    if (done % log_every !== 0 && done !== steps) return;
    const elapsed = (performance.now() - since) / 1000;
    metrics = {
      ...meanOf(await group.allGather(values)),
      images_per_second: (images * group.size) / elapsed,
      memory_mb: learner.device.memory().peakBytes / 1e6,
    };
    log?.write(done, metrics);
    images = 0;
    since = performance.now();
  };
  const save = async (step: number): Promise<void> => {
    const state = await learner.state();
    const saved =
      run && (await saveCheckpoint(run.path, step, learner.parts(), state, { keep: keep_checkpoints }));
    lastGood = await shareValue(group, saved!);
    onCheckpoint(lastGood);
    if (run) writeReport(run);
  };
  const compare = async (step: number): Promise<void> => {
    const name = await learner.firstDifference();
    if (name !== null) throw drifted(step, name, lastGood);
  };

  for (let step = from; step < steps; step++) {
    const next = await learner.step(step);
    await settle();
    next.metrics.catch(() => {}); // whoever waits for it hears of it; a step that throws before must be heard first
    pending = { step, metrics: next.metrics };
    images += next.images;
    const done = step + 1;
    if (done % grid_every === 0 || done === steps) {
      await settle();
      const before = performance.now();
      if (log) {
        const { pictures, metrics: more } = await learner.evaluate(done);
        for (const [name, picture] of Object.entries(pictures)) log.picture(done, name, picture);
        log.write(done, more);
        metrics = { ...metrics, ...more };
      }
      since += performance.now() - before;
    }
    if (group.size > 1 && (done % compare_every === 0 || done === steps)) await compare(done);
    // Ctrl-C may come at any time: what is decided here holds for saving and for stopping, in all processes.
    const isStopped = (await group.allReduce(Uint32Array.of(signal.aborted ? 1 : 0), 'max'))[0] > 0;
    if (done % checkpoint_every === 0 || done === steps || isStopped) {
      await settle();
      const before = performance.now();
      await save(done);
      since += performance.now() - before;
    }
    if (isStopped)
      throw new PaellaError('aborted', `stopped after step ${done}; --resume goes on from there`);
  }
  await settle();
  if (run) {
    writeReport(run);
    await learner.export(run.file('model', 'model.json').replace(/model\.json$/, ''));
  }
  return { step: Math.max(from, steps), metrics };
}

/** Starts a run as the first process does it. */
async function begin(learner: Learner, group: Group): Promise<void> {
  if (group.rank === 0) await learner.begin();
  if (group.size === 1) return;
  await restore(learner, group, { parts: learner.parts(), state: await learner.state() });
}

/** Goes on from what the first process has. */
async function restore(
  learner: Learner,
  group: Group,
  saved: Pick<Checkpoint, 'parts' | 'state'> | null,
): Promise<void> {
  const names = await shareValue(group, Object.keys(saved?.parts ?? {}));
  const parts: Checkpoint['parts'] = {};
  for (const name of names) parts[name] = await shareState(group, saved?.parts[name] ?? null);
  await learner.restore(parts, await shareValue(group, saved?.state ?? {}));
}

/** Means over processes, of what each has. */
function meanOf(all: readonly Metrics[]): Metrics {
  const mean: Metrics = {};
  for (const name of new Set(all.flatMap((one) => Object.keys(one)))) {
    const values = all.map((one) => one[name]).filter((value) => Number.isFinite(value));
    if (values.length > 0) mean[name] = values.reduce((sum, value) => sum + value, 0) / values.length;
  }
  return mean;
}

const drifted = (step: number, name: string, lastGood: string | undefined): PaellaError =>
  new PaellaError('drift', `step ${step}: ${name} is not the same in all processes; ${savedAs(lastGood)}`, {
    fix: 'Look for a machine that computes wrongly, or for adapters that differ; --resume starts all from one state.',
  });

const savedAs = (lastGood: string | undefined): string =>
  lastGood ? `the last good checkpoint is ${lastGood}` : 'no checkpoint was saved before';

function nonFinite(
  step: number,
  { loss, grad_norm }: Metrics,
  place: string | null,
  lastGood: string | undefined,
): PaellaError {
  const where = place ? `it begins in ${place}` : 'it did not happen again when the step was repeated';
  return new PaellaError(
    'non-finite',
    `step ${step}: the loss is ${loss} and the norm of the gradients ${grad_norm}; ${where}; ${savedAs(lastGood)}`,
    {
      // Equal steps would follow from the checkpoint, and a run keeps its settings.
      fix: 'Begin another run with a lower learning_rate or grad_clip: --resume would end in the same place.',
    },
  );
}
