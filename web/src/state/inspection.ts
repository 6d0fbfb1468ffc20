import { computed, signal } from '@preact/signals';
import * as engine from '../engine/client.js';
import type { DrawRequest, Inspection } from '../engine/protocol.js';
import { type Drawing, shownPicture, shownStep } from './drawing.js';
import { info } from './engine.js';
import { opened, shown } from './stage.js';
import { type Trouble, troubleOf } from './trouble.js';

/** What was measured last, or is being measured. */
interface Measured {
  request: DrawRequest;
  /** The share that is done. */
  progress: number;
  result: Inspection | null;
  trouble: Trouble | null;
}

const measured = signal<Measured | null>(null);

/** The measurement of what lies on the stage; null if there is none. */
export const measurement = computed(() =>
  measured.value && measured.value.request === shown.value?.request ? measured.value : null,
);
export const isMeasuring = computed(
  () => measured.value !== null && !measured.value.result && !measured.value.trouble,
);

/** Which measurement is wanted: what was stopped may still have something to say. */
let wanted = 0;

/** Draws what lies on the stage again, and measures it: see {@link measurement}. */
export async function measure(): Promise<void> {
  const request = shown.value?.request;
  if (!request || isMeasuring.value) return;
  const mine = ++wanted;
  const update = (change: Partial<Measured>): void => {
    if (mine === wanted) measured.value = { ...measured.value!, ...change };
  };
  measured.value = { request, progress: 0, result: null, trouble: null };
  try {
    update({ result: await engine.inspect(request, (progress) => update({ progress })) });
  } catch (error) {
    update({ trouble: troubleOf(error) });
  }
}

/** Stops at once for the reader; the engine ends the step it is at. */
export async function stopMeasuring(): Promise<void> {
  if (!isMeasuring.value) return;
  wanted++;
  measured.value = null;
  await engine.cancel();
}

/** One picture after one of its steps. */
export interface Snapshot {
  /** From 0. */
  step: number;
  /** Height and width in tokens. */
  grid: [number, number];
  tokens: Uint32Array;
  /** After the step before; null after the first. */
  before: Uint32Array | null;
  /** In nats; null before it is measured. */
  entropy: Float32Array | null;
}

/** The measured trail of the picture on the stage. */
const measuredTrail = computed(() => {
  const index = opened.value?.kept.index ?? shownPicture.value;
  return measurement.value?.result?.trails[index] ?? null;
});

export const snapshot = computed<Snapshot | null>(() => {
  const now = shown.value;
  const tokens = now?.trails[shownPicture.value]?.tokens ?? [];
  if (!now || tokens.length === 0) return null;
  const step = Math.min(shownStep.value ?? tokens.length - 1, tokens.length - 1);
  return {
    step,
    grid: gridOf(now),
    tokens: tokens[step],
    before: tokens[step - 1] ?? null,
    entropy: measuredTrail.value?.entropy[step] ?? null,
  };
});

/** What changed from step to step, and how sure the model was on average. */
export interface StepFacts {
  /** Tokens that are others than after the step before; null for the first step. */
  changed: number | null;
  /** In nats; null before it is measured. */
  meanEntropy: number | null;
}

export const stepFacts = computed<StepFacts[]>(() => {
  const tokens = shown.value?.trails[shownPicture.value]?.tokens ?? [];
  return tokens.map((after, step) => {
    const entropy = measuredTrail.value?.entropy[step];
    return {
      changed: step > 0 ? after.filter((token, i) => token !== tokens[step - 1][i]).length : null,
      meanEntropy: entropy ? entropy.reduce((sum, one) => sum + one, 0) / entropy.length : null,
    };
  });
});

/** The largest entropy of any token after any step of the picture, in nats; 0 before it is measured. */
export const largestEntropy = computed(() =>
  Math.max(
    0,
    ...(measuredTrail.value?.entropy.map((step) => step.reduce((a, b) => Math.max(a, b), 0)) ?? []),
  ),
);

/** Whether the measured picture is another one: it was drawn by another model, or on another adapter. */
export const drewAnother = computed(() => {
  const [then, now] = [shown.value?.trails[shownPicture.value], measuredTrail.value].map((trail) =>
    trail?.tokens.at(-1),
  );
  return then !== undefined && now !== undefined && then.join() !== now.join();
});

function gridOf({ result, trails }: Drawing): [number, number] {
  if (result) return result.grid;
  const { width, height } = trails[shownPicture.value].images[0];
  const { factor } = info.value!.model;
  return [height / factor, width / factor];
}
