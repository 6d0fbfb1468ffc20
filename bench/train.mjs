/**
 * `npm run bench:train -- [--case unet|block|all] [--rounds 7] [--adapter NAME] [--json FILE]`
 *
 * Training steps in this engine and in others: the whole U-Net against PyTorch on the processor, and one residual
 * block, which is what all engines share, against PyTorch, TensorFlow.js and jax-js as well. The last two compute on
 * the same WebGPU adapter as this engine.
 *
 * Before anything is timed, the losses of the first steps from equal weights must agree. Then every engine takes its
 * turn in every round, so that what else the machine does hits all alike. Times are medians over the rounds, and
 * end when the loss is on the host after the update; ratio is an engine's time by ours. On a software adapter the
 * processor's time (cpuMs) is what a busy machine distorts least. An engine that cannot run a case is named, with the
 * reason.
 */
import { Device } from '@paella/tensor';
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { blockCase, ourBlock, ourUnet, unetCase } from './peers/ours.mjs';
import { torchContender } from './peers/torch.mjs';

/** @typedef {import('./peers/contender.mjs').Contender} Contender */

const CONFIG = new URL('../packages/cli/configs/paella-emoji64.json', import.meta.url);
/** Steps before the loss that is compared. */
const CHECKED_STEPS = 3;
const TOLERANCE = 1e-3;

const { values: options } = parseArgs({
  options: {
    case: { type: 'string', default: 'all' },
    rounds: { type: 'string', default: '7' },
    adapter: { type: 'string', default: 'auto' },
    json: { type: 'string' },
  },
});

/** With two threads, and with one, which suffers less from a busy machine. */
const torch = (/** @type {import('./peers/contender.mjs').Case} */ given) => ({
  'PyTorch, 2 threads': () => torchContender(given, 2),
  'PyTorch, 1 thread': () => torchContender(given, 1),
});

/** The engines of each case, ours first, and how many steps make a measurement. */
const cases = {
  /** @param {Device} device */
  async unet(device) {
    const { model } = JSON.parse(await readFile(CONFIG, 'utf8'));
    const given = await unetCase(device, model);
    const skipped = {
      tfjs: 'the U-Net is not written in it; see the block',
      'jax-js': 'the U-Net is not written in it; see the block',
    };
    return {
      title: 'U-Net of paella-emoji64, batch 8, 16×16 tokens, 4 condition tokens, AdamW',
      repeats: 1,
      skipped,
      engines: { ours: () => ourUnet(device, given, model), ...torch(given) },
    };
  },

  /** @param {Device} device */
  async block(device) {
    const given = blockCase();
    const adapter = device.info.name;
    return {
      title: 'residual block, [8,8,8,256], mean squared error, SGD',
      repeats: 3,
      skipped: {},
      engines: {
        ours: () => ourBlock(device, given),
        ...torch(given),
        // Loaded here: the U-Net's peak memory is measured without them.
        tfjs: async () => (await import('./peers/tfjs.mjs')).tfjsBlock(adapter, given),
        'jax-js': async () => (await import('./peers/jax.mjs')).jaxBlock(adapter, given),
      },
    };
  },
};

/**
 * Engines whose losses agree with ours, and why the others are out.
 * @param {Record<string, () => Promise<Contender>>} engines
 */
async function agreeing(engines) {
  /** @type {Contender[]} */
  const running = [];
  /** @type {Record<string, string>} */
  const skipped = {};
  /** @type {Record<string, number[]>} */
  const losses = {};
  for (const [name, open] of Object.entries(engines)) {
    try {
      const contender = await open();
      const seen = (await contender.steps(CHECKED_STEPS + 1)).losses;
      losses[contender.name] = seen;
      const [ours] = Object.values(losses);
      const off = Math.max(...seen.map((loss, i) => Math.abs(loss / ours[i] - 1)));
      if (!(off <= TOLERANCE)) {
        contender.close();
        throw new Error(`losses ${seen.join(', ')} against ${ours.join(', ')}`);
      }
      running.push(contender);
    } catch (error) {
      if (name === 'ours') throw error;
      skipped[name] = error instanceof Error ? error.message.split('\n')[0] : String(error);
    }
  }
  return { running, skipped, losses };
}

/** Milliseconds of a step, one number a round. @param {Contender[]} running @param {number} repeats */
async function race(running, repeats) {
  const times = running.map(() => ({
    ms: /** @type {number[]} */ ([]),
    cpuMs: /** @type {number[]} */ ([]),
  }));
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const [i, contender] of running.entries()) {
      const { ms, cpuMs } = await contender.steps(repeats);
      times[i].ms.push(mean(ms));
      times[i].cpuMs.push(mean(cpuMs));
    }
  }
  return times;
}

/** @param {readonly number[]} values */
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** @param {readonly number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** @param {number} value */
const rounded = (value) => Number(value.toPrecision(4));

const chosen = options.case === 'all' ? Object.keys(cases) : [options.case];
if (!chosen.every((name) => name in cases) || !(Number(options.rounds) >= 1)) {
  process.stderr.write(`--case is one of ${Object.keys(cases).join(', ')} or all, --rounds at least 1\n`);
  process.exit(2);
}
const device = await Device.create({ adapter: options.adapter });
const report = [];
for (const name of chosen) {
  const { title, repeats, engines, skipped } = await cases[/** @type {keyof typeof cases} */ (name)](device);
  device.trim();
  device.resetPeak();
  const checked = await agreeing(engines);
  const times = await race(checked.running, repeats);
  const rows = checked.running.map((contender, i) => ({
    engine: contender.name,
    device: contender.device,
    ms: rounded(median(times[i].ms)),
    fastestMs: rounded(Math.min(...times[i].ms)),
    ratio: rounded(median(times[i].ms) / median(times[0].ms)),
    cpuMs: rounded(median(times[i].cpuMs)),
    cpuRatio: rounded(median(times[i].cpuMs) / median(times[0].cpuMs)),
    peakMiB: Object.fromEntries(Object.entries(contender.memory()).map(([key, mib]) => [key, rounded(mib)])),
  }));
  const left = { ...skipped, ...checked.skipped };
  process.stdout.write(`${title}\n`);
  console.table(
    Object.fromEntries(rows.map(({ engine, peakMiB, ...row }) => [engine, { ...row, ...named(peakMiB) }])),
  );
  for (const [engine, why] of Object.entries(left)) process.stdout.write(`not run: ${engine}: ${why}\n`);
  for (const contender of checked.running) contender.close();
  report.push({ case: name, title, rows, notRun: left, losses: checked.losses });
}
if (options.json) {
  const about = { adapter: device.info.name, date: new Date().toISOString(), node: process.version };
  await writeFile(options.json, JSON.stringify({ ...about, rounds: options.rounds, cases: report }, null, 2));
}
device.destroy();

/** @param {Record<string, number>} peaks */
function named(peaks) {
  return Object.fromEntries(Object.entries(peaks).map(([key, mib]) => [`${key} MiB`, mib]));
}
