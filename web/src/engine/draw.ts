import { scope } from '@paella/tensor';
import {
  type GenerateOptions,
  type Generation,
  type GenerationStep,
  type Pipeline,
  type RgbaImage,
  inpaint,
  interpolate,
  morph,
  outpaint,
  vary,
} from 'paella';
import type { DrawRequest, DrawResult, StepReport, Subject } from './protocol.js';

/** Draws what a page asks for, and tells it of every step. */
export async function draw(
  pipeline: Pipeline,
  request: DrawRequest,
  { signal, onStep }: { signal: AbortSignal; onStep: (report: StepReport) => void },
): Promise<DrawResult> {
  const start = performance.now();
  const { subject } = request;
  const count = subject.kind === 'interpolate' ? subject.frames : subject.count;
  const { images, tokens, shape, seed } = await drawSubject(pipeline, request, {
    signal,
    onStep: async (info) => {
      onStep(await reportOf(info, count));
    },
  });
  const [, ...grid] = shape;
  return {
    images,
    tokens: perPicture(Uint32Array.from(tokens), images.length),
    grid,
    seed,
    seconds: (performance.now() - start) / 1000,
  };
}

/** The pictures of tokens: one at a time, so that many take no more memory than one. */
export async function decode(
  pipeline: Pipeline,
  tokens: readonly Uint32Array[],
  grid: [number, number],
): Promise<RgbaImage[]> {
  const images: RgbaImage[] = [];
  for (const one of tokens) {
    images.push(
      ...(await scope(() =>
        pipeline.decode(pipeline.device.tensor(Uint32Array.from(one), [1, ...grid], { dtype: 'u32' })),
      )),
    );
  }
  return images;
}

/** @param more options that the request says nothing of */
export function drawSubject(
  pipeline: Pipeline,
  { subject, settings, oneByOne }: DrawRequest,
  more: GenerateOptions,
): Promise<Generation> {
  const { size, ...others } = settings;
  const common = { ...others, batchSize: oneByOne ? 1 : undefined, ...more };
  if (subject.kind === 'interpolate') {
    const { from, to, frames } = subject;
    return interpolate(pipeline, from, to, { ...common, size, frames });
  }
  const { prompt, count } = subject;
  const options = { ...common, count };
  switch (subject.kind) {
    case 'generate':
      return pipeline.generate(prompt, { ...options, size });
    case 'vary':
      return vary(pipeline, subject.images, { ...options, size, prompt });
    // The size of the others is their picture's.
    case 'inpaint':
      return inpaint(pipeline, subject.image, subject.mask, prompt, options);
    case 'outpaint':
      return outpaint(pipeline, subject.image, subject.sides, prompt, options);
    case 'morph':
      return morph(pipeline, subject.image, prompt, { ...options, strength: subject.strength });
    default:
      throw new TypeError(`nothing draws ${(subject satisfies never as Subject).kind}`);
  }
}

async function reportOf(info: GenerationStep, count: number): Promise<StepReport> {
  const { step, steps, first, tokens, preview } = info;
  const images = await preview();
  return {
    step,
    steps,
    first,
    count,
    images,
    tokens: perPicture(Uint32Array.from(await tokens.data()), images.length),
  };
}

/** The numbers of each picture, of those of all. */
export function perPicture<Numbers extends Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
  all: Numbers,
  pictures: number,
): Numbers[] {
  const size = all.length / pictures;
  return Array.from({ length: pictures }, (_, i) => all.slice(i * size, (i + 1) * size) as Numbers);
}
