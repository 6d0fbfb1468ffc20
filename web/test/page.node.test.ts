import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, chromium } from 'playwright';
import sirv from 'sirv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumLaunchOptions } from '../../scripts/chromium.mjs';
import { saveOutput } from '../../test/fixtures.js';

const web = fileURLToPath(new URL('..', import.meta.url));
let server: Server;
let browser: Browser;

beforeAll(async () => {
  await promisify(execFile)(process.execPath, [`${web}build.mjs`]);
  server = createServer(sirv(`${web}dist`)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  browser = await chromium.launch(await chromiumLaunchOptions());
});

afterAll(async () => {
  await browser.close();
  server.close();
});

describe('the page', () => {
  it('draws a red apple', async () => {
    const page = await browser.newPage({ viewport: { width: 720, height: 900 } });
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const button = page.getByRole('button', { name: 'Generate' });
    await button.click({ timeout: 60_000 }); // waits for the model
    await page.getByText(/^Done in/).waitFor({ timeout: 90_000 });
    await saveOutput('page.png', await page.screenshot());
    const [red, green, blue] = await page.evaluate(() => {
      const canvas = document.querySelector('canvas')!;
      const { data } = canvas.getContext('2d')!.getImageData(24, 24, 16, 16);
      const sum = [0, 0, 0];
      data.forEach((value, i) => (sum[i % 4] += value));
      return sum;
    });
    expect(errors).toEqual([]);
    expect(red).toBeGreaterThan(1.5 * Math.max(green, blue));
    await page.close();
  });
});
