import { encode as encodePng } from 'fast-png';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Locator, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadStateDict } from '@paella/tensor';
import { saveOutput } from '../../test/fixtures.js';
import { violations } from './axe.js';
import { type Studio, openStudio } from './studio.js';

const SIDE = 48;

let studio: Studio;
let page: Page;
let problems: string[];
/** Where the weights are saved. */
let weights: string;

beforeAll(async () => {
  studio = await openStudio();
  weights = join(await mkdtemp(join(tmpdir(), 'paella-train-')), 'unet.safetensors');
  // Samples and pictures of the Create tab are drawn alike.
  const settings = { prompt: 'a zorp', seed: 7, seedLocked: true, steps: 3, renoiseSteps: 2 };
  ({ page, problems } = await studio.page(undefined, (before) =>
    before.addInitScript((stored) => (localStorage['paella-settings'] ??= stored), JSON.stringify(settings)),
  ));
});

afterAll(async () => {
  await studio.close();
  await rm(dirname(weights), { recursive: true });
});

/** A purple square on white, at a place of its own. */
function zorp(number: number): { name: string; mimeType: string; buffer: Buffer } {
  const data = new Uint8Array(SIDE * SIDE * 3).fill(255);
  for (let y = 10; y < 38; y++) {
    for (let x = 6 + number; x < 36 + number; x++) data.set([120, 50, 200], 3 * (y * SIDE + x));
  }
  const png = encodePng({ width: SIDE, height: SIDE, data, channels: 3, depth: 8 });
  return { name: `a-zorp-${number}.png`, mimeType: 'image/png', buffer: Buffer.from(png) };
}

/** The picture that a canvas shows. */
const pixelsOf = (canvas: Locator): Promise<string> =>
  canvas.last().evaluate((element) => (element as HTMLCanvasElement).toDataURL());

/** The sample after so many steps of the training. */
const sample = (steps: number): Promise<string> =>
  pixelsOf(page.getByRole('img', { name: `after ${steps} steps` }));

const tab = (name: string) => page.getByRole('tab', { name }).click();
const fillSteps = (count: number) => page.getByLabel('Steps', { exact: true }).fill(String(count));
const train = (name = 'Train') => page.getByRole('button', { name, exact: true });

/** What the Create tab draws. */
async function draw(): Promise<string> {
  await tab('Create');
  await page.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 });
  await page.getByText(/^Done in/).waitFor({ timeout: 90_000 });
  return pixelsOf(page.getByRole('region', { name: 'Picture' }).locator('canvas').first());
}

describe('the Train tab', () => {
  let original: string;
  let learned: string;

  it('takes pictures with captions, and says what is missing', async () => {
    await tab('Train');
    await page.getByText('Add a few pictures first.').waitFor();
    expect(await train().isDisabled()).toBe(true);
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
    expect(await train().isDisabled()).toBe(true);
    await caption.fill('a zorp');
    await fillSteps(0);
    await page.getByText('A whole number from 1 to 2000.').waitFor();
  });

  it('learns, and shows how', async () => {
    await fillSteps(3);
    await page.getByLabel('Steps per sample').fill('2');
    await train().click();
    await page.getByText('Learned in 3 steps.').waitFor({ timeout: 110_000 });
    console.log('training:', await page.getByText(/^3 \/ 3 steps/).innerText());
    expect(await page.getByRole('list', { name: 'Samples of “a zorp”' }).getByRole('img').count()).toBe(3);
    original = await sample(0);
    learned = await sample(3);
    expect(learned).not.toBe(original);
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
  });

  it('draws with what it learned, and saves it', async () => {
    expect(await draw()).toBe(learned);
    await tab('Train');
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download the weights' }).click(),
    ]);
    await file.saveAs(weights);
    const state = await loadStateDict(weights);
    expect(state.keys()).toContain('out_mapper.1.weight');
    await state.close?.();
  });

  it('goes back to the original, and stops when told to', async () => {
    await page.getByRole('button', { name: 'Back to the original' }).click();
    await page.getByText('The model is as it was before training.').waitFor({ timeout: 30_000 });
    await fillSteps(200);
    await train().click();
    await page.getByText(/^2 \/ 200 steps/).waitFor({ timeout: 60_000 });
    expect(await sample(0)).toBe(original);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText(/^Stopped after \d+ of 200 steps\./).waitFor({ timeout: 60_000 });
    await train('Train on').waitFor();
  });

  it('draws with weights that were saved', async () => {
    await page.getByLabel('Open …').setInputFiles(weights);
    await train().waitFor({ timeout: 60_000 }); // another model, which has learned nothing here
    expect(await draw()).toBe(learned);
    expect(problems).toEqual([]);
  });
});
