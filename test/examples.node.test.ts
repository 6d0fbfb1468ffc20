/** The pages of `examples/`, in a real Chromium, with the packages as they are built. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright';
import sirv from 'sirv';
import { build, createServer } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumLaunchOptions } from '../scripts/chromium.mjs';
import { saveOutput } from './fixtures.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const minutes = 60_000;

describe('a page of your own', () => {
  let browser: Browser;

  beforeAll(async () => {
    execFileSync(process.execPath, [join(root, 'scripts/build.mjs')]);
    browser = await chromium.launch(await chromiumLaunchOptions());
  });

  afterAll(() => browser.close());

  /** Opens the page, waits for its picture, and expects the middle of it to be red, and no complaint. */
  async function expectRedApple(url: string, name: string): Promise<void> {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('requestfailed', (request) => problems.push(request.url()));
    await page.goto(url);
    await page.waitForFunction(() => document.title === 'Done', null, { timeout: minutes }).catch(() => {});
    expect(problems).toEqual([]);
    await saveOutput(`example-${name}.png`, await page.locator('canvas').screenshot());
    const [red, green, blue] = await page.evaluate(() => {
      const { data } = document.querySelector('canvas')!.getContext('2d')!.getImageData(24, 24, 16, 16);
      return [0, 1, 2].map((channel) => data.filter((_, i) => i % 4 === channel).reduce((a, b) => a + b, 0));
    });
    expect(red).toBeGreaterThan(1.5 * Math.max(green, blue));
    await page.close();
  }

  /** Serves folders, the first that has a file. */
  async function serve(...folders: string[]): Promise<{ url: string; close: () => void }> {
    const [first, second] = folders.map((folder) => sirv(folder, { dev: true }));
    const server = createHttpServer((request, response) =>
      first(request, response, second && (() => second(request, response))),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}/`, close: () => server.close() };
  }

  it('needs no bundler: a script imports the library from a folder of static files', async () => {
    const { url, close } = await serve(join(root, 'examples/plain'), root);
    await expectRedApple(url, 'plain');
    close();
  });

  describe('with Vite', () => {
    const example = { root: join(root, 'examples/vite'), logLevel: 'error' as const };

    it('is built, for any path of a static host', async () => {
      const site = await mkdtemp(join(tmpdir(), 'paella-vite-'));
      await build({ ...example, build: { outDir: join(site, 'some/path') } });
      const { url, close } = await serve(site);
      await expectRedApple(`${url}some/path/`, 'vite');
      close();
      await rm(site, { recursive: true });
    });

    it('is developed, with dependencies bundled in advance, as those of npm are', async () => {
      const include = ['@paella/tensor', 'paella'];
      const server = await createServer({ ...example, optimizeDeps: { include }, server: { port: 0 } });
      await server.listen();
      await expectRedApple(server.resolvedUrls!.local[0], 'vite-dev');
      await server.close();
    });
  });
});
