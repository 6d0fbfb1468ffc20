/** The loop that every training run is: step, measure, save, and go on where it was. */
import { type Device, PaellaError, type StateDict } from '@paella/tensor';
import type { RgbaImage } from 'paella';
import type { Context } from '../context.js';
import { type CheckpointState, loadLatestCheckpoint, saveCheckpoint } from './checkpoints.js';
import type { RunFolder } from './folder.js';
import { type Metrics, MetricsLog } from './metrics.js';
import { writeReport } from './report.js';

/** What is trained. */
export interface Learner {
  readonly device: Device;
  /** Before the first step of a run, not of one that goes on. */
  begin(): Promise<void>;
  /** Takes step `step`, counted from 0. The measurements may arrive later; `loss` and `grad_norm` are among them. */
  step(step: number): Promise<{ metrics: Promise<Metrics>; images: number }>;
  /** Everything that has to be saved, and the inverse. */
  parts(): Record<string, StateDict>;
  state(): CheckpointState;
  restore(parts: Record<string, StateDict>, state: CheckpointState): Promise<void>;
  /** Pictures that show where the run is, and measurements that cost too much for every step. */
  evaluate(step: number): Promise<{ pictures: Record<string, RgbaImage>; metrics: Metrics }>;
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
}

/**
 * Trains until `steps`, or until Ctrl-C, which saves a checkpoint first.
 *
 * @returns the last measurements
 * @throws PaellaError `non-finite` naming step, parameters and the last good checkpoint; `aborted` after Ctrl-C
 */
export async function runLoop(
  run: RunFolder,
  learner: Learner,
  { steps, checkpoint_every, keep_checkpoints, log_every, grid_every }: LoopConfig,
  { out, signal }: Context,
): Promise<{ step: number; metrics: Metrics }> {
  const latest = await loadLatestCheckpoint(run.path, (message) => out.note(message));
  if (latest) await learner.restore(latest.parts, latest.state);
  else await learner.begin();
  const from = latest?.step ?? 0;
  let lastGood = latest?.path;
  const log = new MetricsLog(run, from);
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
      ...values,
      images_per_second: images / elapsed,
      memory_mb: learner.device.memory().peakBytes / 1e6,
    };
    log.write(done, metrics);
    images = 0;
    since = performance.now();
  };
  const save = async (step: number): Promise<void> => {
    const keep = keep_checkpoints;
    lastGood = await saveCheckpoint(run.path, step, learner.parts(), learner.state(), { keep });
    writeReport(run);
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
      const { pictures, metrics: more } = await learner.evaluate(done);
      for (const [name, picture] of Object.entries(pictures)) log.picture(done, name, picture);
      log.write(done, more);
      metrics = { ...metrics, ...more };
      since += performance.now() - before;
    }
    // Ctrl-C may come at any time: what is decided here holds for saving and for stopping.
    const isStopped = signal.aborted;
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
  writeReport(run);
  await learner.export(run.file('model', 'model.json').replace(/model\.json$/, ''));
  return { step: Math.max(from, steps), metrics };
}

function nonFinite(
  step: number,
  { loss, grad_norm }: Metrics,
  place: string | null,
  lastGood: string | undefined,
): PaellaError {
  const where = place ? `it begins in ${place}` : 'it did not happen again when the step was repeated';
  const saved = lastGood ? `the last good checkpoint is ${lastGood}` : 'no checkpoint was saved before';
  return new PaellaError(
    'non-finite',
    `step ${step}: the loss is ${loss} and the norm of the gradients ${grad_norm}; ${where}; ${saved}`,
    {
      // Equal steps would follow from the checkpoint, and a run keeps its settings.
      fix: 'Begin another run with a lower learning_rate or grad_clip: --resume would end in the same place.',
    },
  );
}
