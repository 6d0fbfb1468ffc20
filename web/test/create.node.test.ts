import { decode } from 'fast-png';
import { readFile } from 'node:fs/promises';
import type { Download, Page } from 'playwright';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { saveOutput } from '../../test/fixtures.js';
import { violations } from './axe.js';
import { type Studio, openStudio } from './studio.js';

let studio: Studio;

beforeAll(async () => {
  studio = await openStudio();
});

afterEach(() => studio.close());
afterAll(() => studio.close());

const STEPS = 3;

async function open(form: object = {}, prelude?: () => void): Promise<{ page: Page; problems: string[] }> {
  return studio.page(undefined, async (page) => {
    await page.addInitScript(
      (stored) => {
        localStorage['paella-settings'] ??= stored;
        localStorage['paella-software-hint'] = 'dismissed';
      },
      JSON.stringify({ seed: 7, steps: STEPS, renoiseSteps: STEPS - 1, ...form }),
    );
    if (prelude) await page.addInitScript(prelude);
  });
}

async function generate(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 }); // waits for the model
  await page.getByText(/^Done in/).waitFor({ timeout: 90_000 });
}

/** The pixels of the picture on the stage. */
function pixels(page: Page): Promise<string> {
  return page
    .getByRole('region', { name: 'Picture' })
    .locator('canvas')
    .first()
    .evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
}

const status = (page: Page, hasText: string | RegExp) => page.getByRole('status').filter({ hasText });
const thumbnails = (page: Page) => page.getByRole('region', { name: 'Gallery' }).getByRole('listitem');
const shownStep = (page: Page) => page.getByRole('slider', { name: 'Shown step' });

async function download(page: Page, button: string): Promise<{ bytes: Uint8Array; file: Download }> {
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: button }).click(),
  ]);
  return { bytes: await readFile(await file.path()), file };
}

/** Drops a file on the page. */
async function drop(page: Page, name: string, bytes: Uint8Array): Promise<void> {
  await page.evaluate(
    ({ data, fileName }) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([Uint8Array.from(data)], fileName, { type: 'image/png' }));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    },
    { data: [...bytes], fileName: name },
  );
}

describe('the Create tab', () => {
  it('shows every step of every picture, live and afterwards', async () => {
    const { page, problems } = await open({ count: 2 });
    await page.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 });
    // A step and its picture at one moment, while the next one is on its way.
    const live = await page.waitForFunction(
      () => {
        const stage = document.querySelector('[aria-label="Picture"]')!;
        const step = /^Step (\d+)/.exec(stage.querySelector('[role=status]')!.textContent)?.[1];
        return step && { step, picture: stage.querySelector('canvas')!.toDataURL() };
      },
      undefined,
      { timeout: 90_000 },
    );
    const { step, picture } = (await live.jsonValue()) as { step: string; picture: string };
    await page.getByText(/^Done in/).waitFor({ timeout: 90_000 });
    const final = await pixels(page);

    await shownStep(page).fill(step);
    await expect.poll(() => shownStep(page).getAttribute('aria-valuetext')).toBe(`step ${step} of ${STEPS}`);
    expect(await pixels(page)).toBe(picture);
    expect(picture).not.toBe(final);
    await page.getByRole('button', { name: 'Play', exact: true }).click();
    await page.getByRole('button', { name: 'Play', exact: true }).waitFor(); // it has come to its end
    expect(await pixels(page)).toBe(final);

    await page.getByRole('radio', { name: 'Picture 1 of 2' }).press('ArrowRight');
    await page.getByRole('radio', { name: 'Picture 2 of 2', checked: true }).waitFor();
    expect(await pixels(page)).not.toBe(final);
    expect(problems).toEqual([]);
  });

  it('keeps pictures, and draws them once more with their settings', async () => {
    const { page, problems } = await open();
    await page.getByLabel('Negative prompt').fill('blue');
    await page.getByLabel('Style').selectOption('3d render');
    await generate(page);
    const final = await pixels(page);
    await shownStep(page).press('Home');
    const first = await pixels(page);
    await thumbnails(page).first().waitFor();
    const seed = Number(await page.getByLabel('Seed', { exact: true }).inputValue());
    expect(seed).not.toBe(7); // the next one is rolled
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.getByLabel('Prompt', { exact: true }).fill('a blue whale');

    await page.reload();
    await thumbnails(page).getByRole('button').click(); // long before the model is there
    await page.getByText('From the gallery').waitFor();
    expect(await pixels(page)).toBe(final);
    await shownStep(page).press('Home', { timeout: 60_000 }); // decoded from its tokens
    await expect.poll(() => pixels(page)).toBe(first);

    await page.getByRole('button', { name: 'Use its settings' }).click();
    await page.getByText('The form has the settings of this picture.').waitFor();
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe('a red apple');
    expect(await page.getByLabel('Negative prompt').inputValue()).toBe('blue');
    expect(await page.getByLabel('Style').inputValue()).toBe('3d render');
    await generate(page);
    expect(await pixels(page)).toBe(final);
    await expect.poll(() => thumbnails(page).count()).toBe(2);
    expect(problems).toEqual([]);
  });

  it('deletes pictures, and puts them back', async () => {
    const { page, problems } = await open({ count: 2, steps: 1 });
    await generate(page);
    await expect.poll(() => thumbnails(page).count()).toBe(2);
    await page.getByRole('button', { name: 'Delete' }).click();
    await expect.poll(() => thumbnails(page).count()).toBe(1);
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect.poll(() => thumbnails(page).count()).toBe(2);
    await thumbnails(page).first().getByRole('button').press('Delete');
    await expect.poll(() => thumbnails(page).count()).toBe(1);
    await page.getByRole('button', { name: 'Clear' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete all' }).click();
    await page.getByText('Finished pictures are kept here').waitFor();
    await page.reload();
    await page.getByText('Finished pictures are kept here').waitFor();
    expect(problems).toEqual([]);
  });

  it('saves pictures with their settings, and reads those again', async () => {
    const { page, problems } = await open({ prompt: 'una paella, ¡qué rica! 🥘' });
    await generate(page);
    const { bytes, file } = await download(page, 'Download PNG');
    expect(file.suggestedFilename()).toBe('una-paella-qué-rica-7-0.png');
    const { width, height, text } = decode(bytes);
    expect([width, height]).toEqual([64, 64]);
    expect(JSON.parse(text.paella)).toMatchObject({
      subject: { kind: 'generate', prompt: 'una paella, ¡qué rica! 🥘', count: 1 },
      settings: { seed: 7, steps: STEPS, size: [64, 64] },
      index: 0,
    });
    const large = decode((await download(page, 'Enlarged ×8')).bytes);
    expect([large.width, large.height, large.text.paella]).toEqual([512, 512, text.paella]);

    const gif = (await download(page, 'Animation')).bytes;
    await saveOutput('steps.gif', gif);
    const frames = await page.evaluate(
      async (data) => {
        const decoder = new ImageDecoder({ data: Uint8Array.from(data), type: 'image/gif' });
        await decoder.tracks.ready;
        return decoder.tracks.selectedTrack!.frameCount;
      },
      [...gif],
    );
    expect(frames).toBe(STEPS);

    await page.getByLabel('Prompt', { exact: true }).fill('something else');
    await page.getByLabel('Seed', { exact: true }).fill('1');
    await drop(page, 'mine.png', bytes);
    await page.getByText('The form has the settings of “mine.png”.').waitFor();
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe('una paella, ¡qué rica! 🥘');
    expect(await page.getByLabel('Seed', { exact: true }).inputValue()).toBe('7');
    expect(problems).toEqual([]);
  });

  it('stops at Escape, and keeps nothing that is unfinished', async () => {
    const { page, problems } = await open({ steps: 30 });
    const prompt = page.getByLabel('Prompt', { exact: true });
    await page.getByRole('button', { name: 'Generate', disabled: false }).waitFor({ timeout: 60_000 });
    await prompt.press('Enter');
    await status(page, /^Step \d+ of 30/).waitFor({ timeout: 60_000 });
    await prompt.press('Escape');
    await page.getByText(/^Stopped after \d+ of 30 steps/).waitFor();
    expect(await thumbnails(page).count()).toBe(0);
    await page.getByLabel('Style').press('Control+Enter');
    await status(page, /^Step \d+ of 30/).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Stop' }).press('Enter');
    await page.getByText(/^Stopped after/).waitFor();
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Generate');
    expect(problems).toEqual([]);
  });

  it('keeps what is finished of a run that is stopped', async () => {
    const { page, problems } = await studio.page(undefined, async (blank) => {
      await blank.addInitScript(
        (stored) => (localStorage['paella-settings'] = stored),
        JSON.stringify({ count: 2, steps: 8, renoiseSteps: 7 }),
      );
      // As if two pictures did not fit into one pass.
      await blank.route('**/assets/engine*.js', async (route) => {
        const response = await route.fetch();
        const oneByOne = `addEventListener('message', ({ data }) => {
          if (data.path?.[0] === 'draw') data.argumentList[0].value.oneByOne = true;
        });`;
        await route.fulfill({ response, body: oneByOne + (await response.text()) });
      });
    });
    await page.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 });
    await status(page, '1 of 2 pictures done').waitFor({ timeout: 90_000 });
    await page.keyboard.press('Escape');
    await status(page, 'Stopped').waitFor();
    await expect.poll(() => thumbnails(page).count()).toBe(1);
    await page.reload();
    await expect.poll(() => thumbnails(page).count()).toBe(1);
    expect(problems).toEqual([]);
  });

  it('says what is wrong with settings', async () => {
    const { page, problems } = await open();
    const button = page.getByRole('button', { name: 'Generate' });
    await page.getByText('Fine tuning').click();
    const steps = page.getByLabel('Steps', { exact: true });
    await steps.fill('0');
    expect(await steps.getAttribute('aria-invalid')).toBe('true');
    expect(await steps.getAttribute('aria-describedby')).toBeTruthy();
    await page.getByText('A whole number from 1 to 100.').waitFor();
    await page.getByText('Correct the marked setting first.').waitFor();
    expect(await button.isDisabled()).toBe(true);
    await steps.fill('5');
    await page.getByLabel('Prompt', { exact: true }).fill(' ');
    await page.getByText('Describe what to draw.').waitFor();
    expect(problems).toEqual([]);
  });

  it('opens a link with settings', async () => {
    const { page, problems } = await open();
    await page.evaluate(() => {
      location.hash = 'prompt=a+lemon&seed=12&size=128,64&temperature=1,0.5&count=three';
    });
    await expect.poll(() => page.getByLabel('Prompt', { exact: true }).inputValue()).toBe('a lemon');
    expect(await page.getByLabel('Seed', { exact: true }).inputValue()).toBe('12');
    expect(await page.getByLabel('Size').inputValue()).toBe('128,64');
    expect(await page.getByLabel('Pictures', { exact: true }).inputValue()).toBe('1');
    expect(new URL(page.url()).hash).toBe('');
    expect(problems).toEqual([]);
  });

  it('works where nothing can be stored', async () => {
    const { page, problems } = await open({ steps: 1 }, () => {
      IDBFactory.prototype.open = () => {
        throw new DOMException('denied', 'SecurityError');
      };
    });
    await page.getByText('This browser does not let the page store pictures').waitFor();
    await generate(page);
    await thumbnails(page).getByRole('button').click();
    await page.getByText('From the gallery').waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect.poll(() => thumbnails(page).count()).toBe(1);
    expect(problems).toEqual([]);
  });

  it('lists hundreds of pictures a part at a time', async () => {
    const { page, problems } = await open({ steps: 1 });
    await generate(page);
    await thumbnails(page).first().waitFor();
    await page.evaluate(async () => {
      const database = await new Promise<IDBDatabase>((resolve) => {
        const opening = indexedDB.open('paella-gallery');
        opening.addEventListener('success', () => resolve(opening.result));
      });
      const transaction = database.transaction(['pictures', 'details'], 'readwrite');
      for (const name of ['pictures', 'details']) {
        const store = transaction.objectStore(name);
        store.getAll().addEventListener('success', ({ target }) => {
          const [one] = (target as IDBRequest<{ id: string }[]>).result;
          for (let i = 0; i < 300; i++) store.put({ ...one, id: `${one.id}-${i}` });
        });
      }
      await new Promise((resolve) => transaction.addEventListener('complete', resolve));
    });
    await page.reload();
    await page.getByText('301 pictures').waitFor();
    expect(await thumbnails(page).count()).toBe(60);
    await page.getByRole('button', { name: 'Show more' }).click();
    await expect.poll(() => thumbnails(page).count()).toBe(120);
    expect(problems).toEqual([]);
  });

  it('looks well, and axe finds nothing', async () => {
    const { page, problems } = await open({ count: 4 });
    // While the model loads, Chromium now and then has no time for a picture of the page.
    await page.getByRole('button', { name: 'Generate', disabled: false }).waitFor({ timeout: 60_000 });
    await saveOutput('create-empty.png', await page.screenshot());
    expect(await violations(page)).toEqual([]);
    await generate(page);
    await expect.poll(() => thumbnails(page).count()).toBe(4);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const width of [1280, 360]) {
        await page.setViewportSize({ width, height: width < 1000 ? 740 : 800 });
        await page.waitForTimeout(300); // colours fade
        expect(await violations(page)).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
        await saveOutput(`create-${colorScheme}-${width}.png`, await page.screenshot({ fullPage: true }));
      }
      await thumbnails(page).nth(1).getByRole('button').click();
      await page.getByLabel('Seed', { exact: true }).fill('');
      await page.getByText('Fine tuning').click();
      await page.getByRole('button', { name: 'Copy link' }).click();
      expect(await violations(page)).toEqual([]);
      await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
      await saveOutput(`create-shortcuts-${colorScheme}.png`, await page.screenshot());
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await page.getByText('Fine tuning').click();
      await page.getByRole('button', { name: 'Roll the dice' }).click();
      await page.getByRole('button', { name: 'Dismiss' }).click();
      await page.getByRole('button', { name: 'Back to the latest' }).click();
    }
    expect(problems).toEqual([]);
  });
});
