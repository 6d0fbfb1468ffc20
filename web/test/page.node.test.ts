import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { saveOutput } from '../../test/fixtures.js';
import { type Studio, openStudio } from './studio.js';

let studio: Studio;

beforeAll(async () => {
  studio = await openStudio();
});

afterAll(() => studio.close());

describe('the page', () => {
  it('draws a red apple', async () => {
    const { page, problems } = await studio.page();
    await page.getByLabel('Seed').fill('7');
    await page.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 }); // waits for the model
    await page.getByText(/^Done in/).waitFor({ timeout: 90_000 });
    await saveOutput('page.png', await page.screenshot());
    // What was chosen before the model was there leaves the rest to the model.
    await page.getByText('Fine tuning').click();
    expect(await page.getByLabel('Guidance', { exact: true }).inputValue()).toBe('4');
    const [red, green, blue] = await page.evaluate(() => {
      const canvas = document.querySelector('canvas')!;
      const { data } = canvas.getContext('2d')!.getImageData(24, 24, 16, 16);
      const sum = [0, 0, 0];
      data.forEach((value, i) => (sum[i % 4] += value));
      return sum;
    });
    expect(problems).toEqual([]);
    expect(red).toBeGreaterThan(1.5 * Math.max(green, blue));
    await page.context().close();
  });
});
