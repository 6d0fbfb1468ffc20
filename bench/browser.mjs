/** The page in headless Chromium, driven from here. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { chromium } from 'playwright';
import sirv from 'sirv';
import { chromiumLaunchOptions } from '../scripts/chromium.mjs';
import { buildPage, pageFolder } from './page/build.mjs';

/**
 * @param {import('./page/main.mjs').PageOptions} options
 * @param {(line: string) => void} say is told lines of a table as they come
 * @returns {ReturnType<typeof import('./session.mjs').runSession>}
 */
export async function runPage(options, say) {
  await buildPage();
  const server = createServer(sirv(pageFolder)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const browser = await chromium.launch(await chromiumLaunchOptions());
  try {
    const page = await browser.newPage();
    await page.exposeFunction('paellaBenchSay', say);
    const address = server.address();
    if (typeof address !== 'object' || !address) throw new Error('the page is not served');
    await page.goto(`http://127.0.0.1:${address.port}/`);
    await page.waitForFunction(() => 'paellaBench' in globalThis);
    return await page.evaluate((given) => Reflect.get(globalThis, 'paellaBench')(given), options);
  } finally {
    await browser.close();
    server.close();
  }
}
