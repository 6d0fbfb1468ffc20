import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Page } from 'playwright';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { saveOutput } from '../../test/fixtures.js';
import { type Studio, openStudio, quickSettings } from './studio.js';

const unet = fileURLToPath(new URL('../../packages/paella/models/default/unet.safetensors', import.meta.url));

let studio: Studio;

beforeAll(async () => {
  studio = await openStudio();
});

afterEach(() => studio.close());
afterAll(() => studio.close());

/** The script of the engine's worker. */
const ENGINE = /\/assets\/engine-[^/]*\.js$/;
const STEPS = 8;
const settings = quickSettings(STEPS);

interface Prepared {
  /** What the worker runs before its own script. */
  prelude?: string;
  form?: Partial<typeof settings>;
  route?: (page: Page) => Promise<unknown>;
}

/** Opens the studio with settings for quick pictures, and with trouble on the way. */
async function open({ prelude = '', form, route }: Prepared = {}) {
  // Requests that a service worker answers pass by the routes below.
  const context: BrowserContextOptions = { serviceWorkers: 'block', viewport: { width: 1280, height: 800 } };
  return studio.page(context, async (page) => {
    await page.addInitScript(
      (stored) => localStorage.setItem('paella-settings', stored),
      JSON.stringify({ ...settings, ...form }),
    );
    await page.route(ENGINE, async (request) => {
      const response = await request.fetch();
      await request.fulfill({ response, body: `${prelude};${await response.text()}` });
    });
    await route?.(page);
  });
}

/** The device that the engine draws on is `self.device` for the test. */
const withDevice = `
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...all) {
    return (self.device = await requestDevice.apply(this, all));
  };`;

const inWorker = (page: Page, script: string): Promise<unknown> =>
  page
    .workers()
    .find((worker) => ENGINE.test(worker.url()))!
    .evaluate(script);
const loseDevice = (page: Page): Promise<unknown> => inWorker(page, 'self.device.destroy()');

const generate = (page: Page): Promise<void> =>
  page.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 }); // waits for the model
const done = (page: Page): Promise<void> => page.getByText(/^Done in/).waitFor({ timeout: 90_000 });

/** Steps that are done, as the page says. */
const stepsDone = async (page: Page): Promise<number> => {
  const status = page.getByRole('status').filter({ hasText: /^Step \d+ of/ });
  const [text = ''] = await status.allInnerTexts();
  return Number(/\d+/.exec(text)?.[0] ?? 0);
};
const reaches = async (page: Page, step: number): Promise<void> => {
  await expect.poll(() => stepsDone(page), { timeout: 60_000, interval: 50 }).toBeGreaterThanOrEqual(step);
};
const isReady = (page: Page): Promise<void> =>
  page.getByRole('status').filter({ hasText: 'swiftshader' }).waitFor({ timeout: 60_000 });

/** The picture's pixels, as one text. */
const pixels = (page: Page): Promise<string> =>
  page.getByRole('img', { name: 'The drawn picture' }).evaluate((canvas: HTMLCanvasElement) => {
    const { width, height } = canvas;
    return canvas.getContext('2d')!.getImageData(0, 0, width, height).data.join();
  });

let undisturbed: Promise<string> | null = null;

/** What the settings above draw when nothing happens. */
const usual = (): Promise<string> =>
  (undisturbed ??= (async () => {
    const { page } = await open();
    await generate(page);
    await done(page);
    return pixels(page);
  })());

async function alertText(page: Page): Promise<string> {
  const alert = page.getByRole('alert').filter({ hasText: /./ });
  await alert.waitFor({ timeout: 60_000 });
  return alert.innerText();
}

const keepPicture = async (page: Page, name: string): Promise<unknown> =>
  saveOutput(`trouble-${name}.png`, await page.screenshot());

describe('where the page cannot draw', () => {
  it('names browsers that have WebGPU', async () => {
    const { page, problems } = await open({
      prelude: `Object.defineProperty(navigator, 'gpu', { value: undefined })`,
    });
    const text = await alertText(page);
    expect(text).toContain('no WebGPU');
    expect(text).toContain('Chrome');
    expect(await page.getByRole('button', { name: 'Generate' }).isDisabled()).toBe(true);
    await keepPicture(page, 'no-webgpu');
    expect(problems).toEqual([]);
  });

  it('says that WebGPU needs a secure page', async () => {
    const { page } = await open({
      prelude: `
        Object.defineProperty(navigator, 'gpu', { value: undefined });
        Object.defineProperty(self, 'isSecureContext', { value: false });`,
    });
    expect(await alertText(page)).toContain('https');
  });

  it('goes on when there is an adapter after all', async () => {
    const { page } = await open({
      prelude: `
        const { requestAdapter } = GPU.prototype;
        self.hasAdapter = false;
        GPU.prototype.requestAdapter = function (...all) {
          return self.hasAdapter ? requestAdapter.apply(this, all) : Promise.resolve(null);
        };`,
    });
    expect(await alertText(page)).toContain('hardware acceleration');
    await inWorker(page, 'self.hasAdapter = true');
    await page.getByRole('button', { name: 'Try again' }).click();
    await isReady(page);
    expect(await page.getByRole('alert').filter({ hasText: /./ }).count()).toBe(0);
  });

  it('tells once that the adapter is slow', async () => {
    const { page } = await open();
    await page.getByRole('button', { name: 'Got it' }).click({ timeout: 60_000 });
    await page.reload();
    await isReady(page);
    expect(await page.getByText('without the graphics card').count()).toBe(0);
  });
});

describe('weights', () => {
  const model = '**/models/default/*.safetensors';

  it.each([
    ['are not there', (page: Page) => page.route(model, (route) => route.fulfill({ status: 404 }))],
    ['do not arrive', (page: Page) => page.route(model, (route) => route.abort('internetdisconnected'))],
    ['arrive damaged', (page: Page) => page.route(model, (route) => route.fulfill({ body: 'not weights' }))],
  ])('that %s are asked for again', async (_, route) => {
    const { page } = await open({ route });
    expect(await alertText(page)).toContain('could not be downloaded');
    await page.unroute(model);
    await page.getByRole('button', { name: 'Try again' }).click();
    await isReady(page);
  });

  it('are used also where the browser has no room for them', async () => {
    const { page } = await open({
      prelude: `Cache.prototype.put = () => Promise.reject(new DOMException('full', 'QuotaExceededError'))`,
    });
    await isReady(page);
  });
});

describe('a checkpoint of one’s own', () => {
  it('takes the place of the part that it fits, until the page’s own is wanted back', async () => {
    const { page, problems } = await open();
    await isReady(page);
    await page.getByLabel('Open').setInputFiles(unet);
    await page.getByRole('status').filter({ hasText: 'unet.safetensors on' }).waitFor({ timeout: 60_000 });
    await generate(page);
    await done(page);
    expect(await pixels(page)).toBe(await usual()); // they are the same weights
    await page.getByRole('button', { name: 'Back to the page’s own model' }).click();
    await page.getByText('unet.safetensors on').waitFor({ state: 'detached', timeout: 60_000 });
    await isReady(page);
    expect(problems).toEqual([]);
  });

  it('that is none leaves the model in its place', async () => {
    const { page } = await open();
    await isReady(page);
    const file = { name: 'mine.pt', mimeType: '', buffer: Buffer.from('not weights') };
    await page.getByLabel('Open').setInputFiles(file);
    expect(await alertText(page)).toContain('mine.pt');
    await isReady(page);
    await generate(page);
    await done(page);
    expect(await pixels(page)).toBe(await usual());
  });
});

describe('the device', () => {
  it('is restored when it is lost while nothing is drawn', async () => {
    const { page, problems } = await open({ prelude: withDevice });
    await isReady(page);
    await loseDevice(page);
    await page.getByText('It is back').waitFor({ timeout: 60_000 });
    await generate(page);
    await done(page);
    expect(await pixels(page)).toBe(await usual());
    expect(problems).toEqual([]);
  });

  it('may be lost in the middle of a picture, which is the same all the same', async () => {
    const { page, problems } = await open({ prelude: withDevice });
    await generate(page);
    await reaches(page, 3);
    await loseDevice(page);
    await page.getByText('Starting again').waitFor();
    expect(await stepsDone(page)).toBeGreaterThanOrEqual(3); // what was seen stays
    await keepPicture(page, 'device-lost');
    await done(page);
    expect(await pixels(page)).toBe(await usual());
    expect(problems).toEqual([]);
  });

  it('stops a picture when it is lost once more, and draws it when asked to', async () => {
    const { page } = await open({ prelude: withDevice });
    await generate(page);
    await reaches(page, 2);
    await loseDevice(page);
    await reaches(page, (await stepsDone(page)) + 1);
    await loseDevice(page);
    expect(await alertText(page)).toContain('device was lost');
    expect(await page.getByRole('img', { name: /^The picture after step [3-9]/ }).count()).toBe(1);
    await keepPicture(page, 'device-lost-twice');
    await page.getByRole('button', { name: 'Try again' }).click();
    await done(page);
    expect(await pixels(page)).toBe(await usual());
  });

  it('is not restored for ever', async () => {
    const { page } = await open({ prelude: withDevice });
    for (let i = 0; i < 3; i++) {
      await isReady(page);
      await loseDevice(page);
      if (i < 2) await page.getByText('Starting again').waitFor();
    }
    expect(await alertText(page)).toContain('device was lost');
    await page.getByRole('button', { name: 'Try again' }).click();
    await isReady(page);
  });

  it('may run out of memory: pictures are drawn one after the other then', async () => {
    // WebGPU tells of too little memory through error scopes; drawing two pictures at once is too much here.
    const { page } = await open({
      form: { count: 2 },
      prelude: `
        let isTooMuch = false;
        addEventListener('message', ({ data }) => {
          isTooMuch = data.path?.[0] === 'draw' && !data.argumentList[0].value.oneByOne;
        });
        const scopes = [];
        const { pushErrorScope, popErrorScope } = GPUDevice.prototype;
        GPUDevice.prototype.pushErrorScope = function (filter) {
          scopes.push(filter);
          pushErrorScope.call(this, filter);
        };
        GPUDevice.prototype.popErrorScope = function () {
          const isFull = scopes.pop() === 'out-of-memory' && isTooMuch;
          const verdict = popErrorScope.call(this);
          return isFull ? Promise.resolve(new GPUOutOfMemoryError('no room')) : verdict;
        };`,
    });
    await generate(page);
    expect(await alertText(page)).toContain('memory did not suffice');
    await keepPicture(page, 'out-of-memory');
    await page.getByRole('button', { name: 'Draw one after the other' }).click();
    await done(page);
    expect(await page.getByRole('radio', { name: /^Picture/ }).count()).toBe(2);
    expect(await pixels(page)).toBe(await usual());
  });
});

it('refuses a picture that the adapter cannot hold, and draws the next', async () => {
  const { page } = await open({
    form: { size: [512, 512] },
    prelude: `
      for (const limit of ['maxBufferSize', 'maxStorageBufferBindingSize']) {
        Object.defineProperty(GPUSupportedLimits.prototype, limit, { get: () => 4 << 20, enumerable: true });
      }`,
  });
  await generate(page);
  expect(await alertText(page)).toContain('Draw smaller pictures');
  await keepPicture(page, 'too-large');
  await page.getByLabel('Size').selectOption('64,64');
  await generate(page);
  await done(page);
  expect(await pixels(page)).toBe(await usual());
});

describe('the worker', () => {
  it('is started again after a crash, and the picture is the same', async () => {
    const { page } = await open();
    await generate(page);
    await reaches(page, 2);
    await inWorker(page, `setTimeout(() => { throw new Error('crash'); })`);
    await page.getByText('was started again').waitFor({ timeout: 60_000 });
    await done(page);
    expect(await pixels(page)).toBe(await usual());
  });

  it('can be given up when it is stuck', async () => {
    const { page } = await open();
    await isReady(page);
    await page.clock.install();
    await generate(page);
    await reaches(page, 2);
    await inWorker(page, 'void setTimeout(() => { for (;;); })');
    for (let i = 0; i < 12; i++) await page.clock.runFor(5000);
    await page.getByRole('button', { name: 'Restart the engine' }).click();
    await page.clock.resume();
    await done(page);
    expect(await pixels(page)).toBe(await usual());
  });
});

describe('a run', () => {
  it('can be stopped, and another begun at once', async () => {
    const { page, problems } = await open({
      form: { steps: 60, renoiseSteps: 59 },
      prelude: `
        self.submits = 0;
        const { submit } = GPUQueue.prototype;
        GPUQueue.prototype.submit = function (...all) {
          self.submits++;
          submit.apply(this, all);
        };`,
    });
    await generate(page);
    await reaches(page, 2);
    const submits = async (): Promise<number> => Number(await inWorker(page, 'self.submits'));
    const perStep = (await submits()) / (await stepsDone(page));
    await page.getByRole('button', { name: 'Stop' }).click();
    const before = await submits();
    await page.waitForTimeout(2000);
    expect((await submits()) - before).toBeLessThanOrEqual(perStep); // the step that it was at
    await page.getByText(/^Stopped after/).waitFor();
    await page.getByText('Fine tuning').click();
    await page.getByRole('spinbutton', { name: 'Steps', exact: true }).fill(String(STEPS));
    await page.getByRole('button', { name: 'Generate' }).dblclick();
    await done(page);
    expect(await pixels(page)).toBe(await usual());
    expect(problems).toEqual([]);
  });

  it('goes on in a hidden tab, whose title tells how far it is', async () => {
    const { page } = await open();
    const title = await page.title();
    const hide = (hidden: boolean): Promise<void> =>
      page.evaluate((now) => {
        Object.defineProperty(document, 'hidden', { value: now, configurable: true });
        Object.defineProperty(document, 'visibilityState', {
          value: now ? 'hidden' : 'visible',
          configurable: true,
        });
        document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
      }, hidden);
    await generate(page);
    await hide(true);
    await page.waitForFunction(() => /^\d+ %/.test(document.title), undefined, { timeout: 60_000 });
    await page.waitForFunction(() => document.title.startsWith('Done'), undefined, { timeout: 60_000 });
    await hide(false);
    expect(await page.title()).toBe(title);
    expect(await pixels(page)).toBe(await usual());
  });

  it('is a reason to ask before the page is closed', async () => {
    const { page } = await open();
    const asked: string[] = [];
    page.on('dialog', (dialog) => {
      asked.push(dialog.type());
      void dialog.dismiss();
    });
    await generate(page);
    await reaches(page, 1);
    await page.close({ runBeforeUnload: true });
    await expect.poll(() => asked).toEqual(['beforeunload']);
    await done(page);
    await page.close({ runBeforeUnload: true });
    await expect.poll(() => page.isClosed()).toBe(true);
    expect(asked.length).toBe(1);
  });
});
