/** The built studio in a real Chromium. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type Page,
  chromium,
} from 'playwright';
import sirv from 'sirv';
import { chromiumLaunchOptions } from '../../scripts/chromium.mjs';

const web = fileURLToPath(new URL('..', import.meta.url));

export interface Studio {
  url: string;
  browser: Browser;
  /**
   * Opens the page in a context of its own, so with empty storage; by default 1280×800.
   *
   * @param prepare what to do with the page before it goes to the studio
   * @returns with the page, the list that its errors and console messages of that kind are added to
   */
  page: (
    options?: BrowserContextOptions,
    prepare?: (page: Page) => Promise<unknown>,
  ) => Promise<{ page: Page; problems: string[] }>;
  /** Closes the pages. */
  close: () => Promise<void>;
}

/** Settings of the form for pictures of an apple that take few steps. */
export const quickSettings = (steps: number) => ({
  prompt: 'a red apple',
  seed: 7,
  seedLocked: true,
  count: 1,
  size: [64, 64],
  steps,
  renoiseSteps: steps - 1,
});

/** One build, server and browser for all test files, which run in one process; they end with it. */
let shared: Promise<{ url: string; browser: Browser }> | null = null;

async function launch(): Promise<{ url: string; browser: Browser }> {
  const site = await mkdtemp(join(tmpdir(), 'paella-studio-'));
  process.once('exit', () => rmSync(site, { recursive: true, force: true }));
  await promisify(execFile)(process.execPath, [`${web}build.mjs`, site]);
  const server = createServer(sirv(site)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { url, browser: await chromium.launch(await chromiumLaunchOptions()) };
}

/** Builds the page, serves it, and starts a browser, unless another test file has done so. */
export async function openStudio(): Promise<Studio> {
  const { url, browser } = await (shared ??= launch());
  const contexts: BrowserContext[] = [];
  return {
    url,
    browser,
    async page(options = { viewport: { width: 1280, height: 800 } }, prepare) {
      // Without a locale, Chromium takes the system's, and some of those are no language tags (`en-US@posix`).
      const context = await browser.newContext({ locale: 'en-US', ...options });
      contexts.push(context);
      const page = await context.newPage();
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') problems.push(message.text());
      });
      await prepare?.(page);
      await page.goto(url);
      return { page, problems };
    },
    async close() {
      await Promise.all(contexts.map((context) => context.close()));
    },
  };
}
