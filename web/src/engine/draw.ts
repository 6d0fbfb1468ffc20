import { scope } from '@paella/tensor';
import type { GenerateOptions, Generation, GenerationStep, Pipeline, RgbaImage } from 'paella';
import type { DrawRequest, DrawResult, StepReport } from './protocol.js';

/** Draws what a page asks for, and tells it of every step. */
export async function draw(
  pipeline: Pipeline,
  request: DrawRequest,
  { signal, onStep }: { signal: AbortSignal; onStep: (report: StepReport) => void },
): Promise<DrawResult> {
  const start = performance.now();
  const { images, tokens, shape, seed } = await drawSubject(pipeline, request, {
    signal,
    onStep: async (info) => {
      onStep(await reportOf(info));
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
export async function drawSubject(
  pipeline: Pipeline,
  { subject, settings, oneByOne }: DrawRequest,
  more: GenerateOptions,
): Promise<Generation> {
  const options = { ...settings, batchSize: oneByOne ? 1 : undefined, ...more };
  if (subject.kind === 'generate') {
    return pipeline.generate(subject.prompt, { ...options, count: subject.count });
  }
  const { edit } = await import('./edit.js'); // no part of the first load
  return edit(pipeline, subject, options);
}

async function reportOf(info: GenerationStep): Promise<StepReport> {
  const { step, steps, first, tokens, preview } = info;
  const images = await preview();
  return {
    step,
    steps,
    first,
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
