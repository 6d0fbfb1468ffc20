import { encode as encodePng } from 'fast-png';
import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadStateDict } from '@paella/tensor';
import { saveOutput } from '../../test/fixtures.js';
import { violations } from './axe.js';
import { type Studio, openStudio } from './studio.js';

const SIDE = 48;

let studio: Studio;
let page: Page;
let problems: string[];

beforeAll(async () => {
  studio = await openStudio();
  ({ page, problems } = await studio.page());
});

afterAll(() => studio.close());

/** A purple square on white, at a place of its own. */
function zorp(number: number): { name: string; mimeType: string; buffer: Buffer } {
  const data = new Uint8Array(SIDE * SIDE * 3).fill(255);
  for (let y = 10; y < 38; y++) {
    for (let x = 6 + number; x < 36 + number; x++) data.set([120, 50, 200], 3 * (y * SIDE + x));
  }
  const png = encodePng({ width: SIDE, height: SIDE, data, channels: 3, depth: 8 });
  return { name: `a-zorp-${number}.png`, mimeType: 'image/png', buffer: Buffer.from(png) };
}

/** The picture that the canvas of a label shows. */
const pixelsOf = (label: RegExp): Promise<string> =>
  page
    .getByRole('img', { name: label })
    .last()
    .evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());

const steps = (count: number) => page.getByLabel('Steps', { exact: true }).fill(String(count));

describe('the Train tab', () => {
  it('takes pictures with captions, and says what is missing', async () => {
    await page.getByRole('tab', { name: 'Train' }).click();
    const train = page.getByRole('button', { name: 'Train', exact: true });
    await page.getByText('Add a few pictures first.').waitFor();
    expect(await train.isDisabled()).toBe(true);
    await page.getByLabel('Add pictures').setInputFiles([zorp(1), zorp(2)]);
    // The whole page takes what is dropped.
    const dropped = await page.evaluateHandle(
      ([name, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(bytes)], name, { type: 'image/png' }));
        return transfer;
      },
      [zorp(3).name, [...zorp(3).buffer]] as const,
    );
    await page.dispatchEvent('body', 'drop', { dataTransfer: dropped });
    const caption = page.getByLabel('Caption of picture 3');
    await caption.waitFor({ timeout: 60_000 }); // the model tells the size of its pictures
    expect(await caption.inputValue()).toBe('a zorp');
    await caption.fill('');
    await page.getByText('Every picture needs a caption.').waitFor();
    expect(await train.isDisabled()).toBe(true);
    await caption.fill('a zorp');
    await steps(0);
    await page.getByText('A whole number from 1 to 2000.').waitFor();
  });

  it('learns, shows how, and draws with what it learned until it is undone', async () => {
    await steps(3);
    await page.getByLabel('A sample every … steps').fill('2');
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await page.getByText('Learned in 3 steps.').waitFor({ timeout: 110_000 });
    console.log('training:', await page.getByText(/^3 \/ 3 steps/).innerText());
    expect(await page.getByRole('list', { name: 'Samples of “a zorp”' }).getByRole('img').count()).toBe(3);
    const before = await pixelsOf(/after 0 steps/);
    expect(await pixelsOf(/after 3 steps/)).not.toBe(before);
    const chart = page.getByRole('figure').filter({ hasText: 'Loss: lower is better' });
    await chart.locator('canvas').waitFor();
    await chart.getByText('As a table').click();
    expect(await chart.locator('tbody tr').count()).toBe(3);
    await chart.getByText('As a table').click();
    expect(await violations(page)).toEqual([]);
    await saveOutput('train.png', await page.screenshot({ fullPage: true }));
    await page.setViewportSize({ width: 360, height: 740 });
    await saveOutput('train-phone.png', await page.screenshot({ fullPage: true }));
    const { scrollWidth, clientWidth } = await page.evaluate(() => document.documentElement);
    expect(scrollWidth).toBe(clientWidth);
    await page.setViewportSize({ width: 1280, height: 800 });

    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download the weights' }).click(),
    ]);
    const state = await loadStateDict(new Blob([await readFile(await file.path())]));
    expect(state.keys()).toContain('out_mapper.1.weight');

    await page.getByRole('button', { name: 'Back to the original' }).click();
    await page.getByText('The model is as it was before training.').waitFor({ timeout: 30_000 });
    await page.getByRole('button', { name: 'Back to the original' }).waitFor({ state: 'hidden' });
    // The first sample of the next training is what the original draws.
    await steps(200);
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await page.getByText(/^2 \/ 200 steps/).waitFor({ timeout: 60_000 });
    expect(await pixelsOf(/after 0 steps/)).toBe(before);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText(/^Stopped after \d+ of 200 steps\./).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Train on' }).waitFor();
    expect(problems).toEqual([]);
  });
});
