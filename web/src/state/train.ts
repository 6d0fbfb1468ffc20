import { batch, computed, signal } from '@preact/signals';
import type { RgbaImage } from 'paella';
import * as engine from '../engine/client.js';
import type { FineTuneStep, TrainReport } from '../engine/protocol.js';
import { cropPicture } from '../picture-file.js';
import { info } from './engine.js';
import { notify } from './notices.js';
import { save } from './saving.js';
import { captionOf, settings } from './settings.js';
import { modelKnown } from './source.js';
import { type Trouble, troubleOf } from './trouble.js';

/** A picture to learn, of the model's size, and the words for it. */
export interface Lesson {
  image: RgbaImage;
  caption: string;
}

/** Numbers are NaN where a field holds none. */
export interface TrainOptions {
  steps: number;
  learningRate: number;
  batchSize: number;
  /** What samples show; '' for the first caption. */
  prompt: string;
  sampleEvery: number;
}

/** What is being learned, or was last. */
export interface Training {
  total: number;
  prompt: string;
  steps: FineTuneStep[];
  samples: { step: number; image: RgbaImage }[];
  /** In seconds, since it began. */
  elapsed: number;
  /** Without those that compile kernels and those with samples; null until there is one. */
  stepsPerSecond: number | null;
  state: 'running' | 'stopping' | 'stopped' | 'done';
  trouble: Trouble | null;
}

export const lessons = signal<readonly Lesson[]>([]);
export const options = signal<TrainOptions>({
  steps: 80,
  learningRate: 2e-4,
  batchSize: 4,
  prompt: '',
  sampleEvery: 20,
});
export const training = signal<Training | null>(null);
export const isTraining = computed(() => ['running', 'stopping'].includes(training.value?.state ?? ''));
/** Whether the engine draws with what it learned here. */
export const isTrained = signal(false);

// A model that was loaded anew, by choice or after a loss, has learned nothing.
info.subscribe(() => {
  isTrained.value = false;
});

/** The most that is allowed; far beyond what a handful of pictures needs. */
export const most = { steps: 2000, batchSize: 16 };

/** What is wrong with the options and the pictures, by field. */
export const problems = computed((): ReadonlyMap<keyof TrainOptions | 'lessons', string> => {
  const { steps, learningRate, batchSize, sampleEvery } = options.value;
  const found = new Map<keyof TrainOptions | 'lessons', string>();
  const check = (field: keyof TrainOptions, isRight: boolean, text: string): void => {
    if (!isRight) found.set(field, text);
  };
  const counts = (value: number, end: number): boolean =>
    Number.isInteger(value) && value >= 1 && value <= end;
  check('steps', counts(steps, most.steps), `A whole number from 1 to ${most.steps}.`);
  check('batchSize', counts(batchSize, most.batchSize), `A whole number from 1 to ${most.batchSize}.`);
  check('sampleEvery', counts(sampleEvery, most.steps), `A whole number from 1 to ${most.steps}.`);
  check('learningRate', learningRate > 0 && learningRate <= 0.1, 'Above 0, and at most 0.1.');
  const silent = lessons.value.filter(({ caption }) => caption.trim() === '').length;
  if (lessons.value.length === 0) found.set('lessons', 'Add a few pictures first.');
  else if (silent > 0) found.set('lessons', 'Every picture needs a caption.');
  return found;
});

/** Adds pictures from files; their names become captions. */
export async function addPictures(files: readonly File[]): Promise<void> {
  await modelKnown();
  const unread: string[] = [];
  for (const file of files) {
    try {
      const { image } = await cropPicture(file, () => [...info.value!.model.imageSize]);
      lessons.value = [...lessons.value, { image, caption: captionFrom(file.name) }];
    } catch {
      unread.push(file.name);
    }
  }
  if (unread.length === 0) return;
  const text = `This browser cannot read “${unread.join('”, “')}” as a picture. Take PNG, JPEG, WebP, GIF or AVIF files.`;
  notify({ kind: 'error', text });
}

export function removeLesson(index: number): void {
  lessons.value = lessons.value.filter((_, i) => i !== index);
}

export function describe(index: number, caption: string): void {
  lessons.value = lessons.value.map((lesson, i) => (i === index ? { ...lesson, caption } : lesson));
}

/** Teaches the model the pictures; how it goes appears in {@link training}. */
export async function train(): Promise<void> {
  if (isTraining.value || problems.value.size > 0) return;
  const { prompt: wanted, sampleEvery, ...how } = options.value;
  const prompt = wanted.trim() || lessons.value[0].caption;
  const { style, seed, negative, steps, renoiseSteps, temperature, cfg } = settings.value;
  const size = info.value!.model.imageSize;
  training.value = {
    total: how.steps,
    prompt,
    steps: [],
    samples: [],
    elapsed: 0,
    stepsPerSecond: null,
    state: 'running',
    trouble: null,
  };
  const request = {
    ...how,
    seed,
    examples: [...lessons.value],
    sample: {
      prompt: captionOf(prompt, style),
      every: sampleEvery,
      settings: { seed, size, negative, steps, renoiseSteps, temperature, cfg },
    },
  };
  try {
    await engine.train(request, recorder());
    update({ state: 'done' });
  } catch (error) {
    const trouble = troubleOf(error);
    update({ state: 'stopped', trouble: trouble.code === 'aborted' ? null : trouble });
    if (trouble.code !== 'aborted') isTrained.value = wasTrained;
  }
}

/** Whether it had learned something before the last training. */
let wasTrained = false;

/** Writes reports into {@link training}, with the time that they come at. */
function recorder(): (report: TrainReport) => void {
  wasTrained = isTrained.value;
  const start = performance.now();
  let before: { at: number; isStep: boolean } = { at: start, isStep: false };
  let [steps, milliseconds] = [0, 0];
  return (report) => {
    const now = performance.now();
    const isStep = report.kind === 'step';
    // From a step to the next: the first ones compile, samples come between others.
    if (isStep && before.isStep && report.step > 1) {
      steps++;
      milliseconds += now - before.at;
    }
    before = { at: now, isStep };
    batch(() => {
      const { steps: seen, samples } = training.value!;
      update({
        elapsed: (now - start) / 1000,
        stepsPerSecond: steps > 0 ? (1000 * steps) / milliseconds : null,
        ...(isStep ? { steps: [...seen, report] } : { samples: [...samples, report] }),
      });
      if (isStep) isTrained.value = true;
    });
  };
}

/** Stops after the step that is being taken; what was learned until then stays. */
export async function stop(): Promise<void> {
  if (training.value?.state !== 'running') return;
  update({ state: 'stopping' });
  await engine.cancel();
}

/** Gives the model back the weights that it came with. */
export async function backToOriginal(): Promise<void> {
  try {
    await engine.undoTraining();
    isTrained.value = false;
    notify({ kind: 'info', text: 'The model is as it was before training.' });
  } catch (error) {
    tell(error);
  }
}

/** Saves the weights as a file that can be dropped on the page again. */
export async function download(): Promise<void> {
  try {
    save(await engine.weights(), 'paella-unet.safetensors');
  } catch (error) {
    tell(error);
  }
}

function update(change: Partial<Training>): void {
  training.value = { ...training.value!, ...change };
}

function tell(error: unknown): void {
  const { message, advice } = troubleOf(error);
  notify({ kind: 'error', text: `${message} ${advice}`.trim() });
}

/** "red-zorp_2.png" is "red zorp". */
function captionFrom(name: string): string {
  return name
    .replace(/\.\w+$/, '')
    .replace(/[-_ ]*\(?\d*\)?$/, '')
    .replace(/[-_]+/g, ' ')
    .trim();
}
