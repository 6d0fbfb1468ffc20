/** Puts pictures into the gallery as soon as they are finished, whatever becomes of the rest of their run. */
import { effect } from '@preact/signals';
import type { RgbaImage } from 'paella';
import type { DrawRequest } from '../engine/protocol.js';
import { type Drawing, drawing } from './drawing.js';
import { info } from './engine.js';
import { keep } from './gallery.js';
import { notify } from './notices.js';
import { recipeOf } from './recipe.js';
import { settings } from './settings.js';

/** One press of the button. */
interface Run {
  request: DrawRequest;
  id: string;
  style: string;
  date: number;
  /** By number of the picture, as they were kept. */
  kept: (RgbaImage | undefined)[];
}

let run: Run | null = null;

/** Begins to watch what is drawn. */
export function keepPictures(): void {
  effect(() => {
    const now = drawing.value;
    if (!now) return;
    if (run?.request !== now.request) {
      const { style } = settings.peek();
      run = { request: now.request, id: crypto.randomUUID(), style, date: Date.now(), kept: [] };
    }
    for (const index of now.trails.keys()) keepIfFinished(run, now, index);
  });
}

/** The id under which a picture is kept, once it is finished; null for what was not drawn since the page was opened. */
export function keptId(request: DrawRequest, index: number): string | null {
  return run?.request === request ? `${run.id}-${index}` : null;
}

/**
 * A picture is finished after its last step, and once more when all are: edits lay their results over the picture that
 * they began with.
 */
function keepIfFinished({ request, id, style, date, kept }: Run, now: Drawing, index: number): void {
  const { images, tokens } = now.trails[index];
  const image = now.result?.images[index] ?? (images.length === now.steps ? images.at(-1)! : undefined);
  if (!image || (kept[index] && isSame(kept[index], image))) return;
  kept[index] = image;
  const { model, adapter } = info.peek()!;
  keep({
    id: `${id}-${index}`,
    image,
    request,
    tokens,
    recipe: recipeOf(request, { style, index, model: model.name, adapter: adapter.name }),
    grid: [image.height / model.factor, image.width / model.factor],
    date,
    seconds: (Date.now() - date) / 1000,
    numLabels: model.numLabels,
  }).catch((error: unknown) => {
    notify({ kind: 'error', text: `The picture could not be put into the gallery: ${String(error)}` });
  });
}

function isSame(a: RgbaImage, b: RgbaImage): boolean {
  return a === b || (a.data.length === b.data.length && a.data.every((value, i) => value === b.data[i]));
}
