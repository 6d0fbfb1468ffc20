/**
 * Keeps the page for visits without a network: all files of a build, under the build's own name. Models are kept by
 * `storedFolder` of the library.
 *
 * The page itself is asked for on each visit, and what was kept is the answer where the network gives none; so a new
 * build is seen at once. Files whose names hold a hash come from the cache. A new build's worker takes over, and deletes
 * what the old one kept, when no page of the old build is open any more: it may still want to load a part.
 */
declare const self: ServiceWorkerGlobalScope;

/** Of the build, filled in by it: a hash of everything, and the files of the site but for models. */
declare const BUILD: { version: string; files: readonly string[] };

const PREFIX = 'paella-page-';
const { version, files: names } = BUILD;
const CACHE = PREFIX + version;
const page = new URL('./', self.location.href).href;
const files = new Set(names.map((file) => new URL(file, page).href));

self.addEventListener('install', (event) => event.waitUntil(keepAll()));
self.addEventListener('activate', (event) => event.waitUntil(deleteOthers()));

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  const address = origin + pathname;
  if (request.method !== 'GET') return;
  if (address === page) event.respondWith(fetch(request).catch(() => kept(address)));
  else if (files.has(address)) event.respondWith(kept(address));
});

async function keepAll(): Promise<void> {
  const cache = await caches.open(CACHE);
  // Past the browser's own cache, which may hold what an earlier build had under the same name.
  await cache.addAll([page, ...files].map((address) => new Request(address, { cache: 'no-cache' })));
}

async function deleteOthers(): Promise<void> {
  const all = await caches.keys();
  const old = all.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function kept(address: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  return (await cache.match(address)) ?? fetch(address);
}
