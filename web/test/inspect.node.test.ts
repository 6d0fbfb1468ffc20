import type { BrowserContextOptions, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { saveOutput } from '../../test/fixtures.js';
import { violations } from './axe.js';
import { type Studio, openStudio } from './studio.js';

let studio: Studio;

beforeAll(async () => {
  studio = await openStudio();
});

afterAll(() => studio.close());

/**
 * Opens the page with the settings of a quick picture.
 *
 * @param prelude what the engine's worker runs before its own script
 */
const open = (options?: BrowserContextOptions, prelude = ''): Promise<{ page: Page; problems: string[] }> =>
  studio.page(options, async (page) => {
    await page.addInitScript(() => {
      localStorage['paella-settings'] = JSON.stringify({
        prompt: 'a red apple',
        seed: 7,
        steps: 4,
        renoiseSteps: 3,
      });
      localStorage['paella-software-hint'] = 'dismissed';
    });
    await page.route(/\/assets\/engine-[^/]*\.js$/, async (request) => {
      const response = await request.fetch();
      await request.fulfill({ response, body: `${prelude};${await response.text()}` });
    });
  });

/** Draws the picture, and goes to the Inspect tab. */
async function drawAndInspect(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 }); // waits for the model
  await page.getByText(/^Done in/).waitFor({ timeout: 90_000 });
  await page.getByRole('tab', { name: 'Inspect' }).click();
}

async function measure(page: Page): Promise<void> {
  await page.getByRole('button', { name: /measure/i }).click();
  await page.getByText(/^Measured: drawn again in/).waitFor({ timeout: 90_000 });
}

/** The cells of a table's body, row by row. */
const cells = (page: Page, table: string): Promise<string[][]> =>
  page
    .locator(table)
    .locator('tbody tr')
    .evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)));

describe('the Inspect tab', () => {
  it('says what it needs before there is a picture', async () => {
    const { page, problems } = await open();
    await page.getByRole('tab', { name: 'Inspect' }).click();
    await page.getByText('There is no picture to look into yet.').waitFor();
    await page.getByRole('button', { name: 'Go to Create' }).click();
    await page.getByRole('button', { name: 'Generate' }).waitFor();
    expect(problems).toEqual([]);
  });

  it('shows tokens, what changed, entropy, kernels and memory of the picture', async () => {
    const { page, problems } = await open();
    await drawAndInspect(page);
    await page.getByText('not measured yet').waitFor();
    await page.getByRole('button', { name: /measure/i }).click();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText(/^Measuring draws the same picture/).waitFor();
    await measure(page);
    expect(await violations(page)).toEqual([]);
    await saveOutput('inspect.png', await page.screenshot({ fullPage: true }));
    // The same picture once more, or this would say so.
    await page.getByText('became another picture').waitFor({ state: 'detached' });

    const steps = await cells(page, '.line-chart table');
    const [changed, entropy] = [1, 2].map((column) => steps.map((row) => Number(row[column])));
    expect(steps.map(([step]) => step)).toEqual(['1', '2', '3', '4']);
    expect(steps[0][1]).toBe('–');
    expect(changed.slice(1).every((share) => share > 0 && share <= 100)).toBe(true);
    expect(entropy[3]).toBeLessThan(Math.max(...entropy));
    expect(entropy.every((nats) => nats > 0 && nats < Math.log(1024))).toBe(true);

    // One token, by the keyboard: what is told of it is told of the same token in the other map.
    const tokens = page.getByRole('application', { name: /^Tokens/ });
    await tokens.focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    const readout = page.getByText(/^Row 2, column 2: token \d+/);
    await readout.waitFor();
    expect(await readout.textContent()).toMatch(/entropy \d\.\d\d nats\.$/);

    // The scrubber is the one of the Create tab.
    await page.getByRole('slider', { name: 'Shown step' }).fill('2');
    expect(Math.round(2.56 * changed[1])).toBe(
      Number(/(\d+) of 256 changed/.exec(await page.locator('.maps').innerText())?.[1]),
    );
    await page.getByRole('tab', { name: 'Create' }).click();
    expect(await page.getByRole('slider', { name: 'Shown step' }).inputValue()).toBe('2');
    await page.getByRole('tab', { name: 'Inspect' }).click();

    const kernels = await cells(page, '[aria-label="Time by kernel, as a table"] table');
    const milliseconds = kernels.map((row) => Number(row[2]));
    expect(kernels.length).toBe(10);
    expect(milliseconds.toSorted((a, b) => b - a)).toEqual(milliseconds);
    expect(milliseconds[0]).toBeGreaterThan(0);
    await page.getByRole('button', { name: /^Show all/ }).click();
    expect((await cells(page, '[aria-label="Time by kernel, as a table"] table')).length).toBeGreaterThan(20);

    const [weights] = await page.getByRole('region', { name: 'Memory' }).locator('dd').allTextContents();
    expect(parseFloat(weights)).toBeGreaterThan(20); // MiB
    await page.getByRole('region', { name: 'Device' }).locator('summary').click();
    await page.getByText('maxStorageBufferBindingSize').waitFor();
    expect(problems).toEqual([]);
  });

  it('says so where kernels cannot be timed, and measures the rest', async () => {
    const { page, problems } = await open(
      undefined,
      `
      const { has } = GPUSupportedFeatures.prototype;
      GPUSupportedFeatures.prototype.has = function (name) {
        return name !== 'timestamp-query' && has.call(this, name);
      };`,
    );
    await drawAndInspect(page);
    await measure(page);
    await page.getByText(/no timestamp queries on this adapter/).waitFor();
    await page.getByText(/nats on average/).waitFor();
    expect(problems).toEqual([]);
  });

  it('survives the loss of the device that it offers, on a phone', async () => {
    const { page, problems } = await open({
      viewport: { width: 360, height: 740 },
      colorScheme: 'dark',
    });
    await drawAndInspect(page);
    await page.getByRole('button', { name: 'Lose the device' }).click();
    await page.getByText('It is back, and nothing is lost.').waitFor({ timeout: 60_000 });
    await measure(page);
    expect(await violations(page)).toEqual([]);
    await saveOutput('inspect-phone.png', await page.screenshot({ fullPage: true }));
    const { scrollWidth, clientWidth } = await page.evaluate(() => document.documentElement);
    expect(scrollWidth).toBe(clientWidth);
    expect(problems).toEqual([]);
  });
});
