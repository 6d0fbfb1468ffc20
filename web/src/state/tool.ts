import { computed, signal } from '@preact/signals';

export const tools = ['draw', 'inpaint', 'outpaint', 'vary', 'morph', 'interpolate'] as const;
export type Tool = (typeof tools)[number];

/** What the Create tab does next. */
export const tool = signal<Tool>('draw');

/** Whether it begins with a picture. */
export const usesSource = computed(() => tool.value !== 'draw' && tool.value !== 'interpolate');

/** Whether what is drawn has the picture's size, or one that follows from it, instead of the form's. */
export const sizeFromSource = computed(() => usesSource.value && tool.value !== 'vary');

/** Share of the tokens that Morph replaces, in (0,1]. */
export const strength = signal(0.85);

/** The prompt that Interpolate ends with. */
export const endPrompt = signal('');

/** Pictures from one prompt to the other, both included. */
export const frames = signal(8);
export const MOST_FRAMES = 24;
