import { Device } from '@paella/tensor';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Case, uniform } from '../cases/case.mjs';
import { measureCeilings } from '../ceilings.mjs';
import { parseOptions } from '../options.mjs';
import { openPeers } from '../peers/open.mjs';
import { htmlReport, markdownReport, summaryTable } from '../report.mjs';
import { runCase, withCeilings } from '../run.mjs';
import { type CaseResult, type Results, parseResults } from '../schema.mjs';

const run = promisify(execFile);
const bench = (file: string): string => fileURLToPath(new URL(`../${file}`, import.meta.url));
const wgsl = (name: string): Promise<string> => readFile(bench(`wgsl/${name}.wgsl`), 'utf8');

const [a, b] = [uniform([64, 64]), uniform([64, 64])];
const product: Case = {
  suite: 'tiny',
  name: 'matmul 64×64·64×64',
  setup: () => ({
    inputs: [a],
    build: (engine, [x]) => engine.matmul(x, engine.constant(b)),
    flops: 2 * 64 ** 3,
  }),
};

describe('a measurement', () => {
  let device: Device;
  let results: Results;

  beforeAll(async () => {
    device = await Device.create();
    const ceilings = await measureCeilings(
      device.info.name,
      { fma: await wgsl('fma'), copy: await wgsl('copy') },
      { bytes: 1 << 20, rounds: 4 },
    );
    const { peers, missing } = await openPeers(['tfjs'], device.info.name);
    const options = { rounds: 3, budgetMs: 1000, cpuMs: () => process.cpuUsage().user / 1000 };
    const one = withCeilings(await runCase(product, device, peers, options), ceilings);
    const wrong: Case = {
      ...product,
      name: 'a product that a peer gets wrong',
      setup: async () => ({ ...(await product.setup()), ours: (engine, [x]) => engine.add(x, 1) }),
    };
    const two = withCeilings(await runCase(wrong, device, peers, options), ceilings);
    for (const peer of peers) await peer.close();
    results = parseResults({
      adapter: device.info.name,
      platform: 'Node',
      date: new Date().toISOString(),
      versions: { tfjs: '4.22.0' },
      ceilings,
      cases: [one, two],
      missing,
    } satisfies Results);
  });

  afterAll(() => device.destroy());

  it('compares times of engines that agree', () => {
    const [{ ours, peers, ratio, left, ceilingShare, bytes }] = results.cases as CaseResult[];
    expect(left).toEqual({});
    expect(ratio).toBeCloseTo(peers.tfjs.ms / ours.ms, 6);
    expect(ours.gflops).toBeCloseTo((2 * 64 ** 3) / ours.ms / 1e6, 6);
    expect(bytes).toBe(3 * 4 * 64 ** 2);
    expect(ours.minMs <= ours.q1Ms && ours.q1Ms <= ours.ms && ours.ms <= ours.q3Ms).toBe(true);
    expect(ceilingShare).toBeGreaterThan(0);
    expect(ours.cpuMs).toBeGreaterThan(0);
  });

  it('leaves out a peer whose numbers differ, and says so', () => {
    const [, { peers, ratio, left }] = results.cases as CaseResult[];
    expect(peers).toEqual({});
    expect(ratio).toBeNull();
    expect(left.tfjs).toMatch(/^differs by [\d.]+, [\de.-]+ is allowed$/);
  });

  it('becomes a table, a report and a page', () => {
    const [{ ratio }] = results.cases as CaseResult[];
    expect(markdownReport(results)).toMatch(/\| matmul 64×64·64×64 \| [\d.e-]+ \| [\d.]+ \| [\d.]+× \|/);
    expect(markdownReport(results)).toContain('- tfjs: differs by');
    expect(htmlReport(results)).toContain('<td>matmul 64×64·64×64</td>');
    expect(htmlReport(results).match(/<svg /g)).toHaveLength(3);
    expect(summaryTable([results])).toContain(`| tiny | ${Number(ratio).toPrecision(2)}× · `);
  });
});

describe('the command', () => {
  it('takes suites and peers by name, all of them where none is named', () => {
    expect(parseOptions(['--suite', 'kernels', '--peers', 'tfjs', '--rounds', '2'])).toMatchObject({
      suites: ['kernels'],
      peers: ['tfjs'],
      rounds: 2,
    });
    expect(parseOptions([])).toMatchObject({
      peers: expect.arrayContaining(['tfjs', 'jax-js', 'onnxruntime']),
    });
  });

  it.each([
    [['--suite', 'nothing'], "--suite: there is no suite 'nothing'"],
    [['--peers', 'tfjs,nobody'], "--peers: there is no peer 'nobody'"],
    [['--rounds', '0'], "--rounds: expected a whole number from 1 on, got '0'"],
    [['--speed'], expect.stringContaining("'--speed'")],
  ])('refuses %j', (argv, error) => {
    expect(parseOptions(argv)).toEqual({ error });
  });

  it('keeps the README up to date with the results', async () => {
    await expect(run(process.execPath, [bench('readme.mjs'), '--check'])).resolves.toBeDefined();
  });
});
