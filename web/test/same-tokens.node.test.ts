import { Device } from '@paella/tensor';
import { Pipeline } from 'paella';
import type { Page } from 'playwright';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Studio, openStudio } from './studio.js';

let studio: Studio;

beforeAll(async () => {
  studio = await openStudio();
});

afterAll(() => studio.close());

const settings = {
  seed: 7,
  size: [64, 64] as [number, number],
  negative: '',
  steps: 6,
  renoiseSteps: 5,
  temperature: [0.7, 0.3] as [number, number],
  cfg: 8,
};

/** The tokens after each step, as the page keeps them. */
async function drawInPage(): Promise<number[][]> {
  const { page } = await studio.page(undefined, (opened) =>
    opened.addInitScript(
      (stored) => localStorage.setItem('paella-settings', stored),
      JSON.stringify({ ...settings, prompt: 'a red apple', seedLocked: true, count: 1 }),
    ),
  );
  await page.getByRole('button', { name: 'Generate' }).click({ timeout: 60_000 });
  await page.getByText(/^Done in/).waitFor({ timeout: 90_000 });
  await expect.poll(() => keptTokens(page), { timeout: 10_000 }).toHaveLength(settings.steps);
  return keptTokens(page);
}

const keptTokens = (page: Page): Promise<number[][]> =>
  page.evaluate(async () => {
    const settled = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.addEventListener('success', () => resolve(request.result));
        request.addEventListener('error', () => reject(request.error!));
      });
    const database = await settled(indexedDB.open('paella-gallery'));
    const store = database.transaction('details').objectStore('details');
    const [details] = (await settled(store.getAll())) as { tokens: Uint16Array[] }[];
    database.close();
    return details ? details.tokens.map((step) => [...step]) : [];
  });

/** The adapter that the tests' browser has: SwiftShader on Linux, the machine's own elsewhere. */
const adapter = process.platform === 'linux' && process.arch === 'x64' ? 'swiftshader' : 'gpu';

async function drawInNode(): Promise<number[][]> {
  using device = await Device.create({ adapter, tuned: false });
  const pipeline = await Pipeline.load('default', { device });
  const steps: number[][] = [];
  await pipeline.generate('a red apple', {
    ...settings,
    onStep: async ({ tokens }) => {
      steps.push([...(await tokens.data())]);
    },
  });
  return steps;
}

it('draws the tokens that Node draws with the same seed on the same kind of adapter', async () => {
  expect(await drawInPage()).toEqual(await drawInNode());
});
