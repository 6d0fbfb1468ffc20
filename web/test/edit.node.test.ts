import type { Locator, Page } from 'playwright';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { saveOutput } from '../../test/fixtures.js';
import { violations } from './axe.js';
import { type Studio, openStudio, quickSettings } from './studio.js';

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };
const STEPS = 3;
const APPLE = 'a red apple';

interface Pixels {
  width: number;
  height: number;
  /** RGBA, one number each. */
  data: number[];
}

let studio: Studio;
let page: Page;
let problems: string[];
let apple: Pixels;

/** One page for all: each loads a model and compiles its shaders. Tests begin with the apple from the gallery. */
beforeAll(async () => {
  studio = await openStudio();
  ({ page, problems } = await studio.page(undefined, (one) =>
    one.addInitScript(
      (stored) => localStorage.setItem('paella-settings', stored),
      JSON.stringify(quickSettings(STEPS)),
    ),
  ));
  apple = await generate();
});

afterAll(() => studio.close());

beforeEach(async () => {
  await page.getByRole('radio', { name: 'Draw', exact: true }).check();
  await page.getByLabel('Prompt', { exact: true }).fill(APPLE);
});

/** Draws what the form says. @returns the picture, the first of several */
async function generate(): Promise<Pixels> {
  await page.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 }); // waits for the model
  await page.getByRole('button', { name: 'Stop' }).waitFor();
  await page.getByText(/^Done in/).waitFor({ timeout: 90_000 });
  return pixelsOf(page.getByRole('img', { name: 'The drawn picture' }));
}

const pixelsOf = (canvas: Locator): Promise<Pixels> =>
  canvas.evaluate((element: HTMLCanvasElement) => {
    const { width, height } = element;
    const { data } = element.getContext('2d')!.getImageData(0, 0, width, height);
    return { width, height, data: [...data] };
  });

/** The pixels that a condition holds for, as colours in one number. */
function some({ width, data }: Pixels, isMeant: (x: number, y: number) => boolean): number[] {
  const found: number[] = [];
  for (let i = 0; i < data.length / 4; i++) {
    const [r, g, b] = data.slice(4 * i, 4 * i + 3);
    if (isMeant(i % width, Math.floor(i / width))) found.push(65536 * r + 256 * g + b);
  }
  return found;
}

/** Takes the apple for a tool. */
async function edit(tool: string): Promise<void> {
  await page
    .getByRole('button', { name: /^a red apple/ })
    .last()
    .click();
  await page.getByRole('button', { name: 'Edit this' }).click();
  await page.getByRole('radio', { name: tool, exact: true }).check();
}

/** Which pixels the editor shows as drawn anew. */
async function painted(): Promise<boolean[]> {
  // What a key changed is on the screen a frame later.
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  const { data } = await pixelsOf(page.locator('.mask-overlay'));
  return Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + 3] > 100);
}

const area = async (): Promise<number> => (await painted()).filter(Boolean).length;

/** Draws a line over the picture, in shares of its side. */
async function stroke(from: readonly [number, number], to: readonly [number, number]): Promise<void> {
  const mask = page.getByRole('application', { name: 'Mask' });
  await mask.scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await mask.boundingBox())!;
  await page.mouse.move(x + from[0] * width, y + from[1] * height);
  await page.mouse.down();
  await page.mouse.move(x + to[0] * width, y + to[1] * height, { steps: 4 });
  await page.mouse.up();
}

/** Shows the page to people and to axe: on a desktop in daylight, on a phone at night. */
async function show(name: string): Promise<void> {
  for (const [device, viewport, colorScheme] of [
    ['desktop', DESKTOP, 'light'],
    ['phone', PHONE, 'dark'],
  ] as const) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' }); // or colours are on their way
    await saveOutput(`edit-${name}-${device}.png`, await page.screenshot({ fullPage: true }));
    expect(await violations(page), `${name} on a ${device}`).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(viewport.width);
  }
  await page.setViewportSize(DESKTOP);
}

describe('the mask', () => {
  beforeEach(async () => {
    await edit('Inpaint');
    await page.getByRole('button', { name: 'Brush' }).click();
  });

  it('is painted and erased by the pointer, and every change can be taken back', async () => {
    await stroke([0.2, 0.3], [0.8, 0.3]);
    const line = await painted();
    expect(line[19 * 64 + 32]).toBe(true);
    expect(line[50 * 64 + 32]).toBe(false);
    const size = line.filter(Boolean).length;

    await page.keyboard.press('e');
    await stroke([0.5, 0.1], [0.5, 0.5]);
    const cut = await area();
    expect(cut).toBeLessThan(size);
    await page.keyboard.press('Control+z');
    expect(await painted()).toEqual(line);
    await page.keyboard.press('Control+Shift+z');
    expect(await area()).toBe(cut);

    await page.keyboard.press('i');
    expect(await area()).toBe(64 * 64 - cut);
    await page.getByRole('button', { name: 'Fill' }).click();
    expect(await area()).toBe(64 * 64);
    await page.getByRole('button', { name: 'Clear', exact: true }).click();
    expect(await area()).toBe(0);
    for (let i = 0; i < 5; i++) await page.getByRole('button', { name: 'Undo' }).click();
    expect(await area()).toBe(0);
    await page.keyboard.press('b');
    await page.keyboard.press(']');
    await stroke([0.2, 0.3], [0.8, 0.3]);
    expect(await area()).toBeGreaterThan(size);
  });

  it('is painted with the keyboard alone, token by token', async () => {
    await page.getByRole('application', { name: 'Mask' }).focus();
    await page.keyboard.press('Space');
    expect(await area()).toBe(16);
    await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('ArrowDown');
    await page.getByText('Column 10, row 10: kept').waitFor();
    await page.keyboard.press('Space');
    await page.getByText('Column 10, row 10: drawn anew').waitFor();
    expect(await area()).toBe(48);
    await page.keyboard.press('Space');
    expect(await area()).toBe(32);
  });

  it('leaves letters to those who write', async () => {
    await page.getByRole('button', { name: 'Fill' }).click();
    await page.getByLabel('Prompt', { exact: true }).focus();
    await page.keyboard.press('x');
    await page.keyboard.press('2');
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe(`${APPLE}x2`);
    expect(await area()).toBe(64 * 64);
  });
});

describe('the tools', () => {
  it('inpaint: what is painted changes, everything else stays as it is to the bit', async () => {
    await edit('Inpaint');
    expect(await page.getByRole('button', { name: 'Generate' }).isEnabled()).toBe(false);
    await page.getByText('Paint over what is to be drawn anew.').waitFor();
    await page.getByRole('button', { name: 'Brush' }).click();
    await stroke([0.3, 0.2], [0.7, 0.3]);
    const mask = await painted();
    await page.getByLabel('Prompt', { exact: true }).fill('a green leaf');
    const result = await generate();
    await show('inpaint');
    const outside = (x: number, y: number): boolean => !mask[y * 64 + x];
    const inside = (x: number, y: number): boolean => mask[y * 64 + x];
    expect(some(result, outside)).toEqual(some(apple, outside));
    expect(some(result, inside)).not.toEqual(some(apple, inside));

    // The result is the next source, with a clear mask.
    await page.getByRole('button', { name: 'Edit this' }).click();
    expect(await pixelsOf(page.getByRole('img', { name: 'Picture to begin with' }))).toEqual(result);
    expect(await area()).toBe(0);

    // The gallery knows what the result was made from.
    await page.getByRole('button', { name: /^a green leaf/ }).click();
    await page.getByRole('button', { name: 'Use its settings' }).click();
    await page.getByText('The form has the settings of this picture.').waitFor();
    expect(await painted()).toEqual(mask);
    expect(await pixelsOf(page.getByRole('img', { name: 'Picture to begin with' }))).toEqual(apple);
  });

  it('outpaint: the picture stays where it is on the larger canvas', async () => {
    await edit('Outpaint');
    await page.getByRole('button', { name: 'Double width' }).click();
    expect(await page.getByLabel('Left').inputValue()).toBe('32');
    await page.getByLabel('Left').fill('16');
    await page.getByText(/112 × 64 pixels/).waitFor();
    const result = await generate();
    await show('outpaint');
    expect([result.width, result.height]).toEqual([112, 64]);
    expect(some(result, (x) => x >= 16 && x < 80)).toEqual(some(apple, () => true));
    expect(new Set(some(result, (x) => x >= 80)).size).toBeGreaterThan(10);
  });

  it('outpaint: handles are dragged by whole steps', async () => {
    await edit('Outpaint');
    await page.getByRole('button', { name: 'None' }).click();
    const { x, y, width } = (await page.locator('.handle-bottom').boundingBox())!;
    const preview = (await page.locator('.canvas-preview').boundingBox())!;
    await page.mouse.move(x + width / 2, y + width / 2);
    await page.mouse.down();
    await page.mouse.move(x + width / 2, y + width / 2 + preview.height / 2, { steps: 3 });
    await page.mouse.up();
    expect(await page.getByLabel('Bottom').inputValue()).toBe('32');
  });

  it('vary: as many pictures as asked for, of one picture or more, without a prompt', async () => {
    await edit('Vary');
    await page
      .getByLabel('Choose', { exact: false })
      .or(page.getByLabel('Add a picture'))
      .setInputFiles(await pictureFile('green.png', 'green', 'green'));
    await page.getByRole('img', { name: 'green.png, picture 2' }).waitFor();
    await page.getByLabel('Prompt', { exact: true }).fill('');
    await page.getByLabel('Pictures', { exact: true }).fill('2');
    await generate();
    await show('vary');
    const all = page.getByRole('radiogroup', { name: 'Pictures of this run' }).locator('canvas');
    expect(await all.count()).toBe(2);
    expect(await pixelsOf(all.first())).not.toEqual(await pixelsOf(all.last()));
    await page.getByRole('button', { name: 'Remove picture 2' }).click();
    await page.getByLabel('Pictures', { exact: true }).fill('1');
  });

  it('vary: says why a model without an image encoder cannot', async () => {
    const other = await studio.page(undefined, (one) =>
      one.route('**/model.json', async (request) => {
        const response = await request.fetch();
        const { image_encoder: _, ...card } = (await response.json()) as Record<string, unknown>;
        await request.fulfill({ response, json: card });
      }),
    );
    await other.page.getByRole('radio', { name: 'Vary' }).check();
    await other.page.getByText('This model has no image encoder').waitFor();
    expect(await other.page.getByRole('button', { name: 'Generate' }).isEnabled()).toBe(false);
    await other.page.close();
  });

  it('morph: a dropped picture shows through, cropped to what can be drawn', async () => {
    await drop(await pictureFile('halves.png', 'red', 'blue'));
    const source = page.getByRole('img', { name: 'Picture to begin with' });
    await source.waitFor();
    expect(await page.getByRole('radio', { name: 'Morph' }).isChecked()).toBe(true);
    const crop = page.getByLabel('Scaled and cropped to');
    const options = await crop.locator('option').allTextContents();
    expect(options).toEqual(['64 × 64, the model’s size', '96 × 64']);
    await crop.selectOption('96 × 64');
    await page.getByLabel('Prompt', { exact: true }).fill('a yellow star');
    await page.getByLabel('Strength').fill('0.3');
    const result = await generate();
    expect([result.width, result.height]).toEqual([96, 64]);
    const shareOf = (isMeant: (colour: number) => boolean, from: number): number => {
      const half = some(result, (x) => x >= from && x < from + 40);
      return half.filter(isMeant).length / half.length;
    };
    const isRed = (colour: number): boolean => colour >> 16 > (colour & 255) + 50;
    const isBlue = (colour: number): boolean => (colour & 255) > (colour >> 16) + 50;
    expect(shareOf(isRed, 0)).toBeGreaterThan(2 * shareOf(isRed, 56));
    expect(shareOf(isBlue, 56)).toBeGreaterThan(2 * shareOf(isBlue, 0));

    await page.getByRole('button', { name: 'Compare' }).click();
    const slider = page.getByRole('slider', { name: 'Before and after' });
    await slider.press('ArrowLeft');
    expect(await slider.getAttribute('aria-valuetext')).toBe('49 % before');
    await show('morph');
    await page.getByRole('button', { name: 'Compare' }).click();
  });

  it('say which files are no pictures', async () => {
    await page.getByRole('radio', { name: 'Morph' }).check();
    const buffer = Buffer.from('not a picture');
    const choice = page.getByLabel('Choose', { exact: false });
    await choice.setInputFiles({ name: 'notes.png', mimeType: 'image/png', buffer });
    await page.getByText('This browser cannot read “notes.png” as a picture.').waitFor();
  });

  it('interpolate: the ends are what Draw draws, and the frames between them play', async () => {
    await page.getByRole('radio', { name: 'Interpolate' }).check();
    await page.getByLabel('To the prompt').fill('a blue whale');
    await page.getByLabel('Pictures on the way').fill('3');
    const first = await generate();
    const frame = page.getByRole('slider', { name: 'Frame' });
    await show('interpolate');
    await frame.fill('3');
    const last = await pixelsOf(page.getByRole('img', { name: 'The drawn picture' }));
    expect(first).toEqual(apple);
    expect(last).not.toEqual(first);
    await page.getByRole('button', { name: 'Play frames' }).click();
    await page.waitForFunction(
      (slider) => (slider as HTMLInputElement | null)?.value === '1',
      await frame.elementHandle(),
    );
    await page.getByRole('button', { name: 'Pause frames' }).click();

    await page.keyboard.press('1');
    await page.getByLabel('Prompt', { exact: true }).fill('a blue whale');
    expect(await generate()).toEqual(last);
    expect(problems).toEqual([]); // of all tests
  });
});

/** A file on disk with a picture of two halves, 150×100 pixels. */
async function pictureFile(name: string, left: string, right: string): Promise<string> {
  const base64 = await page.evaluate(
    async (colours) => {
      const canvas = new OffscreenCanvas(150, 100);
      const context = canvas.getContext('2d')!;
      colours.forEach((colour, i) => {
        context.fillStyle = colour;
        context.fillRect(75 * i, 0, 75, 100);
      });
      const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
      return btoa(String.fromCharCode(...bytes));
    },
    [left, right],
  );
  return saveOutput(`edit-source-${name}`, Buffer.from(base64, 'base64'));
}

/** Drops a file on the page, as the browser does it; scripts cannot. */
async function drop(path: string): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const at = {
    x: 640,
    y: 500,
    data: { items: [], files: [path], dragOperationsMask: 1 },
  };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await devtools.send('Input.dispatchDragEvent', { type, ...at });
  }
  await devtools.detach();
}
