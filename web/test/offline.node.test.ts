import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContext, Page } from 'playwright';
import sirv from 'sirv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Studio, openStudio } from './studio.js';

const path = '/some/path/'; // where a static host may have put it

let studio: Studio;
let site: string;
let context: BrowserContext;
let server: Server;
let port = 0;

/** A host of its own, which can go away. */
async function startServer(): Promise<void> {
  const files = sirv(site, { dev: true });
  server = createServer((request, response) => {
    if (!request.url?.startsWith(path)) {
      response.writeHead(404).end();
      return;
    }
    request.url = request.url.slice(path.length - 1);
    files(request, response);
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
}

async function stopServer(): Promise<void> {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
}

async function open(): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${port}${path}`);
  return page;
}

const ready = (page: Page): Promise<unknown> => page.evaluate(() => navigator.serviceWorker.ready);
const caches = (page: Page): Promise<string[]> =>
  page.evaluate(async () => (await window.caches.keys()).filter((name) => name.startsWith('paella-page-')));

beforeAll(async () => {
  studio = await openStudio();
  site = await mkdtemp(join(tmpdir(), 'paella-site-'));
  execFileSync(process.execPath, [fileURLToPath(new URL('../build.mjs', import.meta.url)), site]);
  context = await studio.browser.newContext({ locale: 'en-US' });
  await startServer();
});

afterAll(async () => {
  await context.close();
  await stopServer();
  await studio.close();
  await rm(site, { recursive: true, force: true });
});

describe('without a network', () => {
  it('draws on the second visit', async () => {
    const first = await open();
    await ready(first);
    // The model is kept when it is loaded.
    await first.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 });
    await first.getByText(/^Done in/).waitFor({ timeout: 90_000 });
    await first.close();

    await stopServer();
    const second = await open();
    await second.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 });
    await second.getByText(/^Done in/).waitFor({ timeout: 90_000 });
    // Parts that were never shown are there, too.
    await second.getByRole('tab', { name: 'Train' }).click();
    await second.getByRole('tabpanel', { name: 'Train' }).waitFor();
    await second.close();
    await startServer();
  });

  it('shows a new build at once, and forgets the old one when no page shows it any more', async () => {
    const old = await open();
    await ready(old);
    const [oldCache] = await caches(old);

    const html = join(site, 'index.html');
    const text = await readFile(html, 'utf8');
    await writeFile(html, text.replace('<title>', '<title>New: '));
    const script = join(site, 'service-worker.js');
    const code = await readFile(script, 'utf8');
    await writeFile(script, code.replace(oldCache.replace('paella-page-', ''), 'another-version'));

    const fresh = await open();
    expect(await fresh.title()).toMatch(/^New: /);
    await expect.poll(() => caches(fresh), { timeout: 20_000 }).toHaveLength(2);
    await Promise.all([old.close(), fresh.close()]);
    const elsewhere = await context.newPage();
    await elsewhere.goto(`http://127.0.0.1:${port}/`); // no page of the studio, but one that can look
    await expect.poll(() => caches(elsewhere), { timeout: 20_000 }).toEqual(['paella-page-another-version']);
  });
});
