import {
  type GenerateOptions,
  type Generation,
  type Pipeline,
  inpaint,
  interpolate,
  morph,
  outpaint,
  vary,
} from 'paella';
import type { Subject } from './protocol.js';

/** Draws what begins with pictures, or lies between prompts. */
export function edit(
  pipeline: Pipeline,
  subject: Exclude<Subject, { kind: 'generate' }>,
  { size, ...common }: GenerateOptions,
): Promise<Generation> {
  if (subject.kind === 'interpolate') {
    const { from, to, frames } = subject;
    return interpolate(pipeline, from, to, { ...common, size, frames });
  }
  const { prompt, count } = subject;
  const options = { ...common, count };
  switch (subject.kind) {
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
