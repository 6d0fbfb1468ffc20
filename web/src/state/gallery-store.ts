/** Where the gallery lies in the browser: what lists need in one store, what only an opened picture needs in another. */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { DrawRequest } from '../engine/protocol.js';
import type { Recipe } from './recipe.js';

/** A finished picture. */
export interface Kept extends Recipe {
  id: string;
  /** When its run began, in milliseconds since 1970. */
  date: number;
  width: number;
  height: number;
  /** Height and width in tokens. */
  grid: [number, number];
  /** From pressing the button to this picture. */
  seconds: number;
  /** The file that is saved, with the recipe in its metadata. */
  png: Blob;
}

/** What it was made from, and what it was after each step. */
export interface Details {
  id: string;
  request: DrawRequest;
  tokens: (Uint16Array | Uint32Array)[];
}

interface Schema extends DBSchema {
  pictures: { key: string; value: Kept };
  details: { key: string; value: Details };
}

let opening: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
  opening ??= openDB<Schema>('paella-gallery', 1, {
    upgrade(db) {
      db.createObjectStore('pictures', { keyPath: 'id' });
      db.createObjectStore('details', { keyPath: 'id' });
    },
    // The browser closed it, to free the disk for one: the next call opens it again.
    terminated() {
      opening = undefined;
    },
  });
  return opening;
}

/** All pictures, in no order. */
export async function all(): Promise<Kept[]> {
  return (await database()).getAll('pictures');
}

export async function details(id: string): Promise<Details | undefined> {
  return (await database()).get('details', id);
}

/** Both or neither; replaces what has this id. */
export async function put(kept: Kept, more: Details): Promise<void> {
  const transaction = (await database()).transaction(['pictures', 'details'], 'readwrite');
  await Promise.all([
    transaction.objectStore('pictures').put(kept),
    transaction.objectStore('details').put(more),
    transaction.done,
  ]);
}

export async function remove(ids: readonly string[]): Promise<void> {
  const transaction = (await database()).transaction(['pictures', 'details'], 'readwrite');
  await Promise.all([
    ...ids.flatMap((id) => [
      transaction.objectStore('pictures').delete(id),
      transaction.objectStore('details').delete(id),
    ]),
    transaction.done,
  ]);
}
