import { batch, computed, signal } from '@preact/signals';
import type { RgbaImage } from 'paella';
import * as engine from '../engine/client.js';
import type { DrawRequest, DrawResult, StepReport, Subject } from '../engine/protocol.js';
import { recover } from './engine.js';
import { change, rollSeed, settings } from './settings.js';
import { type Trouble, troubleOf, troubleWith } from './trouble.js';

/** One picture on its way: what it was after each step. */
interface Trail {
  images: RgbaImage[];
  tokens: Uint32Array[];
}

/** What is drawn, or was drawn last. */
export interface Drawing {
  request: DrawRequest;
  /** Of each picture. */
  trails: Trail[];
  steps: number;
  result: DrawResult | null;
  trouble: Trouble | null;
}

export const drawing = signal<Drawing | null>(null);
export const isDrawing = computed(
  () => drawing.value !== null && !drawing.value.result && !drawing.value.trouble,
);
/** Steps that all pictures together have done, in (0,1]. */
export const progress = computed(() => {
  if (!drawing.value) return 0;
  const { trails, steps } = drawing.value;
  const done = trails.reduce((sum, { images }) => sum + images.length, 0);
  return done / (steps * trails.length);
});

/** Which of the pictures is looked at, and after which step; null is the last there is. */
export const shownPicture = signal(0);
export const shownStep = signal<number | null>(null);

/** Draws with the settings of the form; the pictures appear in {@link drawing}, step by step. */
export async function draw(subject: Subject): Promise<DrawResult | null> {
  if (isDrawing.value) return null;
  const { seedLocked, seed, size, negative, steps, renoiseSteps, temperature, cfg } = settings.value;
  const result = await run({
    subject,
    settings: { seed, size, negative, steps, renoiseSteps, temperature, cfg },
  });
  if (result && !seedLocked) change({ seed: rollSeed() });
  return result;
}

/** Draws what was drawn last once more, with the same seed. */
export async function redraw({ oneByOne }: Pick<DrawRequest, 'oneByOne'> = {}): Promise<DrawResult | null> {
  if (!drawing.value || isDrawing.value) return null;
  return run({ ...drawing.value.request, oneByOne });
}

/** Stops at once for the reader; the engine ends the step it is at. */
export async function cancel(): Promise<void> {
  if (!isDrawing.value) return;
  drawing.value = { ...drawing.value!, trouble: troubleWith('aborted') };
  await engine.cancel();
}

async function run(request: DrawRequest): Promise<DrawResult | null> {
  const { subject, settings: how } = request;
  const count = subject.kind === 'interpolate' ? subject.frames : subject.count;
  const trails = Array.from({ length: count }, (): Trail => ({ images: [], tokens: [] }));
  batch(() => {
    shownPicture.value = 0;
    shownStep.value = null;
    drawing.value = { request, trails, steps: how.steps, result: null, trouble: null };
  });
  // What was stopped may still have something to say when the next one is on its way.
  const isWanted = (): boolean => drawing.value?.request === request && !drawing.value.trouble;
  const addStep = (report: StepReport): void => {
    if (isWanted()) drawing.value = withStep(drawing.value!, report);
  };
  try {
    const result = await engine.draw(request, addStep).catch(async (error: unknown) => {
      if (!isLoss(error) || !isWanted()) throw error;
      // The same request gives the same pictures; the steps that are there stay.
      await recover(error);
      if (!isWanted()) throw error;
      return engine.draw(request, addStep);
    });
    if (drawing.value?.request === request) drawing.value = { ...drawing.value, result, trouble: null };
    return result;
  } catch (error) {
    if (isWanted()) drawing.value = { ...drawing.value!, trouble: troubleOf(error) };
    return null;
  }
}

const isLoss = (error: unknown): boolean => ['device-lost', 'crashed'].includes(troubleOf(error).code);

/** With the pictures after a step; a step that is there already, before a loss, stays as it is. */
function withStep(now: Drawing, { step, first, images, tokens, steps }: StepReport): Drawing {
  const trails = now.trails.map((trail, i) =>
    i >= first && i < first + images.length && trail.images.length === step
      ? { images: [...trail.images, images[i - first]], tokens: [...trail.tokens, tokens[i - first]] }
      : trail,
  );
  return { ...now, trails, steps };
}
