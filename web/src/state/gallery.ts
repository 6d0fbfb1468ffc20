import { signal } from '@preact/signals';
import type { RgbaImage } from 'paella';
import type { DrawRequest } from '../engine/protocol.js';
import { encodePng } from '../files/client.js';
import { type Details, type Kept, all, details, put, remove as removeStored } from './gallery-store.js';
import { notify } from './notices.js';
import { metadataOf } from './metadata.js';
import type { Recipe } from './recipe.js';

export type { Details, Kept };

/** What was drawn on this device, newest first; null until it is read. */
export const pictures = signal<readonly Kept[] | null>(null);

/** What the browser would not store: it lives as long as the page. */
const unstored = new Map<string, Details>();

/** The browser's promise not to delete the pictures when its disk is full. */
let persistence: Promise<boolean> | undefined;

/** A finished picture, as the page has it. */
export interface Finished {
  /** Another picture with it replaces this one. */
  id: string;
  image: RgbaImage;
  recipe: Recipe;
  request: DrawRequest;
  /** After each step. */
  tokens: readonly Uint32Array[];
  grid: [number, number];
  /** When its run began, in milliseconds since 1970. */
  date: number;
  /** From then to this picture. */
  seconds: number;
  /** How many different tokens there are. */
  numLabels: number;
}

/** Reads the gallery. */
export async function openGallery(): Promise<void> {
  try {
    const stored = await all();
    const known = new Set(stored.map(({ id }) => id));
    const isNew = ({ id }: Kept): boolean => !known.has(id);
    pictures.value = [...(pictures.value ?? []).filter(isNew), ...stored].sort(newestFirst);
  } catch {
    pictures.value ??= [];
    notify({
      kind: 'info',
      text: 'This browser does not let the page store pictures: they stay until you close it. Download those that you want to keep.',
    });
  }
}

/** Puts a picture into the gallery, stored before it is listed. */
export async function keep(finished: Finished): Promise<void> {
  const { id, image, recipe, request, grid, date, seconds, numLabels } = finished;
  const png = await encodePng(image, metadataOf(recipe, date));
  const kept: Kept = { ...recipe, id, date, width: image.width, height: image.height, grid, seconds, png };
  const tokens = finished.tokens.map((step) => (numLabels <= 2 ** 16 ? Uint16Array.from(step) : step));
  await store(kept, { id, request, tokens });
  // Asked once there is something to lose. Browsers answer without a question, or ask the user.
  persistence ??= navigator.storage?.persist?.();
}

/** What a picture was made from; undefined if another tab has deleted it. */
export async function detailsOf({ id }: Kept): Promise<Details | undefined> {
  return unstored.get(id) ?? details(id);
}

/** Deletes pictures; a notice offers to put them back. */
export async function remove(removed: readonly Kept[]): Promise<void> {
  const ids = new Set(removed.map(({ id }) => id));
  const more = new Map((await Promise.all(removed.map(detailsOf))).map((one) => [one?.id, one]));
  pictures.value = pictures.value!.filter(({ id }) => !ids.has(id));
  const inDatabase = [...ids].filter((id) => !unstored.delete(id));
  if (inDatabase.length > 0) await removeStored(inDatabase);
  notify({
    kind: 'info',
    text: removed.length === 1 ? 'The picture is deleted.' : `${removed.length} pictures are deleted.`,
    action: {
      label: 'Undo',
      run: () => {
        for (const kept of removed) void store(kept, more.get(kept.id)!);
      },
    },
  });
}

async function store(kept: Kept, more: Details): Promise<void> {
  try {
    await put(kept, more);
  } catch (error) {
    unstored.set(kept.id, more);
    const isFull = error instanceof DOMException && error.name === 'QuotaExceededError';
    notify({
      kind: 'error',
      text: isFull
        ? 'The browser has no room for more pictures: new ones stay until you close the page. Delete some, or download those that you want to keep.'
        : 'The browser did not store the picture: it stays until you close the page. Download it to keep it.',
    });
  }
  const others = (pictures.value ?? []).filter(({ id }) => id !== kept.id);
  pictures.value = [kept, ...others].sort(newestFirst);
}

/** Those of a run in their order. */
const newestFirst = (a: Kept, b: Kept): number => b.date - a.date || a.index - b.index;
