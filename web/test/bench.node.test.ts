import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CaseResult, parseResults } from '../../bench/schema.mjs';
import { saveOutput } from '../../test/fixtures.js';
import { violations } from './axe.js';
import { type Studio, openStudio } from './studio.js';

let studio: Studio;

beforeAll(async () => {
  studio = await openStudio();
});

afterAll(() => studio.close());

/** Opens the Bench tab, and measures the cases of a name. */
async function open(filter: string, viewport = { width: 1280, height: 800 }) {
  const { page, problems } = await studio.page({ viewport });
  const scripts: string[] = [];
  page.on('request', (request) => scripts.push(request.url()));
  await page.getByRole('tab', { name: 'Bench' }).click();
  await page.getByLabel('Only cases named').fill(filter);
  await page.getByLabel('Rounds').fill('2');
  await page.getByRole('button', { name: 'Measure' }).click({ timeout: 60_000 }); // waits for the model
  return { page, problems, scripts };
}

describe('the Bench tab', () => {
  it('measures the cases that were asked for, and saves results that the benchmark reads', async () => {
    const { page, problems, scripts } = await open('2×8×8');
    await page.getByText('Measured 1 case.').waitFor({ timeout: 90_000 });
    await page.getByText(/at most \d+(\.\d+)? GFLOP\/s and \d+(\.\d+)? GB\/s/).waitFor();
    const [row] = await page
      .getByRole('region', { name: 'Results', exact: true })
      .locator('tbody tr')
      .allInnerTexts();
    expect(row).toMatch(/^GRN 2×8×8×1024\s+[\d.]+\s+[\d.]+ (GFLOP|GB)\/s\s+\d+ %$/);
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download JSON' }).click(),
    ]);
    const results = parseResults(JSON.parse(await readFile(await file.path(), 'utf8')));
    expect(results.cases.map(({ name }) => name)).toEqual(['GRN 2×8×8×1024']);
    const { ours, ceilingShare, peers } = results.cases[0] as CaseResult;
    expect(ours.rounds).toBe(2);
    expect(ceilingShare).toBeGreaterThan(0);
    expect(peers).toEqual({});
    // Only this page's own files, and no other engine among them.
    expect(scripts.filter((url) => !url.startsWith(studio.url) && !url.startsWith('blob:'))).toEqual([]);
    expect(problems).toEqual([]);
  });

  it('shows cases as they are measured, and stops when told to', async () => {
    const { page, problems } = await open('×256');
    const rows = page.getByRole('region', { name: 'Results', exact: true }).locator('tbody tr');
    await rows.first().waitFor({ timeout: 90_000 });
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText(/^Stopped after \d+ of \d+ cases/).waitFor({ timeout: 60_000 });
    await page.getByLabel('Only cases named').fill('nothing of that name');
    await page.getByRole('button', { name: 'Measure' }).click();
    await page.getByText('No case has such a name.').waitFor({ timeout: 60_000 });
    expect(problems).toEqual([]);
  });

  it('fits on a phone', async () => {
    const { page, problems } = await open('512×256', { width: 360, height: 740 });
    await page.getByText(/^Measured \d+ cases/).waitFor({ timeout: 120_000 });
    expect(await violations(page)).toEqual([]);
    await saveOutput('bench-phone.png', await page.screenshot({ fullPage: true }));
    const { scrollWidth, clientWidth } = await page.evaluate(() => document.documentElement);
    expect(scrollWidth).toBe(clientWidth);
    await page.setViewportSize({ width: 1280, height: 800 });
    await saveOutput('bench.png', await page.screenshot({ fullPage: true }));
    expect(problems).toEqual([]);
  });
});
