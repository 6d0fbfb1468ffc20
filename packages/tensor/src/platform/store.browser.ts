/** Small texts that are kept from one visit to the next, in IndexedDB. */

const STORE = 'texts';

/** The text kept under a name, or null. */
export async function readStored(name: string): Promise<string | null> {
  const found = await inStore('readonly', (store) => store.get(name) as IDBRequest<unknown>);
  return typeof found === 'string' ? found : null;
}

/**
 * Keeps a text under a name.
 *
 * @returns whether there is a place to keep it: private windows may have none
 */
export async function writeStored(name: string, text: string): Promise<boolean> {
  return (await inStore('readwrite', (store) => store.put(text, name))) !== null;
}

/** The result of a request, or null where pages may not store anything. */
async function inStore<T>(
  mode: IDBTransactionMode,
  request: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T | null> {
  try {
    const opening = indexedDB.open('paella', 1);
    opening.addEventListener('upgradeneeded', () => {
      opening.result.createObjectStore(STORE);
    });
    const database = await settled(opening);
    try {
      return await settled(request(database.transaction(STORE, mode).objectStore(STORE)));
    } finally {
      database.close();
    }
  } catch {
    return null;
  }
}

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.addEventListener('success', () => {
      resolve(request.result);
    });
    request.addEventListener('error', () => {
      reject(request.error ?? new Error('IndexedDB gave no reason'));
    });
  });
