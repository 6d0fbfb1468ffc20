import { batch, computed, signal } from '@preact/signals';
import type { RgbaImage } from 'paella';
import * as engine from '../engine/client.js';
import type { DrawRequest, DrawResult, StepReport, Subject } from '../engine/protocol.js';
import { change, rollSeed, settings } from './settings.js';
import { type Trouble, troubleOf } from './trouble.js';

/** One picture on its way: what it was after each step. */
export interface Trail {
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
  const request: DrawRequest = {
    subject,
    settings: { seed, size, negative, steps, renoiseSteps, temperature, cfg },
  };
  const count = subject.kind === 'interpolate' ? subject.frames : subject.count;
  const trails = Array.from({ length: count }, (): Trail => ({ images: [], tokens: [] }));
  batch(() => {
    shownPicture.value = 0;
    shownStep.value = null;
    drawing.value = { request, trails, steps, result: null, trouble: null };
  });
  try {
    const result = await engine.draw(request, addStep);
    drawing.value = { ...drawing.value!, result };
    if (!seedLocked) change({ seed: rollSeed() });
    return result;
  } catch (error) {
    drawing.value = { ...drawing.value!, trouble: troubleOf(error) };
    return null;
  }
}

export const cancel = engine.cancel;

function addStep({ first, images, tokens, steps }: StepReport): void {
  const now = drawing.value!;
  const trails = now.trails.map((trail, i) =>
    i >= first && i < first + images.length
      ? { images: [...trail.images, images[i - first]], tokens: [...trail.tokens, tokens[i - first]] }
      : trail,
  );
  drawing.value = { ...now, trails, steps };
}
