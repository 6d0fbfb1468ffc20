import { batch, computed } from '@preact/signals';
import type { Subject } from '../engine/protocol.js';
import { info } from './engine.js';
import { maskTokens, paint } from './mask.js';
import type { SubjectText } from './recipe.js';
import { captionOf, settings } from './settings.js';
import { sides } from './sides.js';
import { setSources, source, sources } from './source.js';
import { imageOfMask, maskOfImage, pixelsOf } from './strokes.js';
import { MOST_FRAMES, endPrompt, frames, strength, tool, usesSource } from './tool.js';

/** Whether there is a mask at all, which changes more rarely than the mask. */
const hasMask = computed(() => maskTokens.value?.values.includes(1) ?? false);

/** Why the tool cannot draw yet, and what to do; '' if it can. */
export const missing = computed((): string => {
  if (tool.value === 'vary' && info.value && !info.value.model.takesImages) {
    return 'This model has no image encoder, so it cannot take after pictures.';
  }
  if (usesSource.value && !source.value) return 'Choose a picture to begin with.';
  if (tool.value === 'inpaint' && !hasMask.value) return 'Paint over what is to be drawn anew.';
  if (tool.value === 'outpaint' && Object.values(sides.value).every((side) => side === 0)) {
    return 'Extend the picture on at least one side.';
  }
  if (tool.value === 'interpolate') {
    if (endPrompt.value.trim() === '') return 'Describe what the last picture shows.';
    if (!Number.isInteger(frames.value) || frames.value < 2 || frames.value > MOST_FRAMES) {
      return `Draw 2 to ${MOST_FRAMES} pictures on the way.`;
    }
  }
  return '';
});

/** What the form and the tool ask for. Where something is {@link missing}, there is no telling. */
export function chosenSubject(): Subject {
  const { prompt: words, style, count } = settings.value;
  const prompt = captionOf(words, style);
  const request = { prompt, count };
  switch (tool.value) {
    case 'draw':
      return { kind: 'generate', ...request };
    case 'inpaint':
      return {
        kind: 'inpaint',
        ...request,
        image: source.value!.image,
        mask: imageOfMask(pixelsOf(maskTokens.value!, info.value!.model.factor)),
      };
    case 'outpaint':
      return { kind: 'outpaint', ...request, image: source.value!.image, sides: sides.value };
    case 'vary':
      return { kind: 'vary', ...request, images: sources.value.map(({ image }) => image) };
    case 'morph':
      return { kind: 'morph', ...request, image: source.value!.image, strength: strength.value };
    case 'interpolate':
      return {
        kind: 'interpolate',
        from: prompt,
        to: captionOf(endPrompt.value, style),
        frames: frames.value,
      };
    default:
      throw new TypeError(`no such tool: ${tool.value satisfies never as string}`);
  }
}

/**
 * Sets the tool, and what it works with, as they were for a subject; the prompts are the form's. Without its pictures,
 * those that are there stay.
 */
export function restoreSubject(subject: Subject | SubjectText): void {
  const { kind } = subject;
  batch(() => {
    tool.value = kind === 'generate' ? 'draw' : kind;
    if ('image' in subject) setSources([subject.image]);
    if ('images' in subject) setSources(subject.images);
    if ('mask' in subject) paint({ kind: 'replace', values: maskOfImage(subject.mask).values });
    if (kind === 'outpaint') sides.value = subject.sides;
    if (kind === 'morph') strength.value = subject.strength;
    if (kind === 'interpolate') frames.value = subject.frames;
  });
}
