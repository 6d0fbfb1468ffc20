import type { DrawRequest, DrawSettings, Subject } from '../engine/protocol.js';
import type { Settings } from './settings.js';

type Without<T, Key extends string> = T extends unknown ? Omit<T, Key> : never;

/** What was drawn, without the pictures that it began with. */
export type SubjectText = Without<Subject, 'image' | 'images' | 'mask'>;

/** How a picture was made: goes with it into the gallery, into its file and, in part, into links. */
export interface Recipe {
  /** With prompts as they were typed. */
  subject: SubjectText;
  /** The style that captions ended with; '' for the model's choice. */
  style: string;
  settings: DrawSettings;
  /** The number of the picture among those that were drawn together. */
  index: number;
  model: string;
  adapter: string;
}

/** The recipe of a request, whose captions name the style. */
export function recipeOf(
  { subject, settings }: DrawRequest,
  rest: Omit<Recipe, 'subject' | 'settings'>,
): Recipe {
  const {
    image: _image,
    images: _images,
    mask: _mask,
    ...text
  } = { image: 0, images: 0, mask: 0, ...subject };
  const words = Object.fromEntries(
    Object.entries(text).map(([key, value]) => [
      key,
      key !== 'kind' && typeof value === 'string' ? promptOf(value, rest.style) : value,
    ]),
  );
  return { subject: words as SubjectText, settings, ...rest };
}

/** In words, for lists and file names. */
export function titleOf({ subject }: Pick<Recipe, 'subject'>): string {
  if (subject.kind === 'interpolate') return `${subject.from} → ${subject.to}`;
  return subject.prompt || 'A picture without a prompt';
}

/** What the form holds for a recipe. */
export function formOf({ subject, style, settings }: Recipe): Partial<Settings> {
  const isWay = subject.kind === 'interpolate';
  return {
    ...settings,
    style,
    prompt: isWay ? subject.from : subject.prompt,
    ...(!isWay && { count: subject.count }),
  };
}

/** The prompt of a caption: the inverse of `captionOf`. */
function promptOf(caption: string, style: string): string {
  const ending = `, ${style}`;
  return style !== '' && caption.endsWith(ending) ? caption.slice(0, -ending.length) : caption;
}
