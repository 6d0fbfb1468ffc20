/** `paella generate --dry-run`, by the built command. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { MemoryPlan } from 'paella';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRelease } from '../../paella/test/random-release.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const run = promisify(execFile);

let folder: string;
beforeAll(async () => {
  execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: root });
  folder = await mkdtemp(join(tmpdir(), 'paella-cli-plan-'));
  await writeRelease(join(folder, 'released'));
});
afterAll(() => rm(folder, { recursive: true }));

/** What it prints; it must succeed, and write nothing. */
async function dryRun(...args: string[]): Promise<string> {
  const command = [join(root, 'packages/cli/dist/main.js'), 'generate', ...args, '--dry-run'];
  const { stdout } = await run(process.execPath, command, { cwd: folder });
  expect(await readdir(folder)).toEqual(['released']);
  return stdout;
}

describe('generate --dry-run', () => {
  it('tells what the embedded model takes, without a prompt too', async () => {
    const stdout = await dryRun();
    expect(stdout).toMatch(/^1 × 64×64 with .*, weights in f32, on /);
    expect(stdout).toMatch(/^network +parameters +on disk +on the device +largest buffer$/m);
    expect(stdout).toMatch(/^unet +6,\d{3},\d{3} +12\.\d MB +25\.\d MB +\d+\.\d MB$/m);
    expect(stdout).toMatch(/^decoding +\d+\.\d MB +\d+\.\d MB$/m);
    expect(stdout).toMatch(/^Reads 1\d\.\d MB and holds at most /m);
  });

  it('tells what released files take, for a size and a type, as JSON', async () => {
    const args = ['a red apple', '--model', 'released', '--size', '64x32', '--dtype', 'f16', '--json'];
    const plan = JSON.parse(await dryRun(...args)) as MemoryPlan;
    expect(plan).toMatchObject({ width: 64, height: 32, count: 1, dtype: 'f16' });
    expect(plan.parts.map(({ part }) => part)).toEqual([
      'unet',
      'vqgan',
      'text_encoder',
      'clip_text',
      'prior',
    ]);
    expect(plan.stages.every(({ problem }) => problem === undefined)).toBe(true);
    expect(plan.peak.lowMemory).toBeLessThan(plan.peak.resident);
    const larger = JSON.parse(await dryRun(...args, '--count', '8')) as MemoryPlan;
    expect(larger.peak.lowMemory).toBeGreaterThan(plan.peak.lowMemory);
  });
});
