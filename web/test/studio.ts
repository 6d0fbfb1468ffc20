/** The built studio in a real Chromium. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, type BrowserContextOptions, type Page, chromium } from 'playwright';
import sirv from 'sirv';
import { chromiumLaunchOptions } from '../../scripts/chromium.mjs';

const web = fileURLToPath(new URL('..', import.meta.url));

export interface Studio {
  url: string;
  browser: Browser;
  /**
   * Opens the page in a context of its own, so with empty storage; by default 1280×800.
   *
   * @returns with the page, the list that its errors and console messages of that kind are added to
   */
  page: (options?: BrowserContextOptions) => Promise<{ page: Page; problems: string[] }>;
  close: () => Promise<void>;
}

/** Builds the page, serves it, and starts a browser. */
export async function openStudio(): Promise<Studio> {
  await promisify(execFile)(process.execPath, [`${web}build.mjs`]);
  const server = createServer(sirv(`${web}dist`)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const browser = await chromium.launch(await chromiumLaunchOptions());
  return {
    url,
    browser,
    async page(options = { viewport: { width: 1280, height: 800 } }) {
      const context = await browser.newContext(options);
      const page = await context.newPage();
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') problems.push(message.text());
      });
      await page.goto(url);
      return { page, problems };
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}
