/**
 * `mpirun -n 2 node bench/together.mjs`: what it costs to train together. Times steps of a U-Net in three ways, in turns:
 * without any exchange of gradients, with the exchange after the backward pass, and during it. `--link 0.125` has one process
 * and a link of so many GB/s in the place of the other. docs/scaling.md says what follows from that.
 */
import { Device, Rng, optim, scope } from '@paella/tensor';
import { GradientSum, alone, init } from '@paella/tensor/distributed';
import { Paella, denoisingStep, optimizerStep } from 'paella';
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { quantile } from './quantile.mjs';

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: 'small' },
    batch: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '7' },
    buckets: { type: 'string' },
    adapter: { type: 'string', default: 'auto' },
    f16: { type: 'boolean', default: false },
    link: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const emoji = new URL('../packages/cli/configs/paella-emoji64.json', import.meta.url);
/** @type {import('paella').PaellaConfig} */
const small = JSON.parse(await readFile(emoji, 'utf8')).model;
/** @type {Record<string, import('paella').PaellaConfig>} */
const sizes = {
  small,
  medium: {
    ...small,
    c_in: 192,
    c_out: 192,
    num_labels: 8192,
    c_cond: 384,
    c_hidden: [256, 512],
    blocks: [3, 6],
  },
};
const config = sizes[options.size];
if (!config) throw new Error(`--size is one of ${Object.keys(sizes).join(', ')}, got ${options.size}`);
const batch = Number(options.batch);
const rounds = Number(options.rounds);
const bucketBytes = options.buckets && Number(options.buckets) * 2 ** 20;
const seconds = () => performance.now() / 1000;

/**
 * A group of two whose other process is a link that takes its time and no processor, as network cards do. Between two
 * software adapters, everything takes the same cores, and nothing can hide behind anything.
 *
 * @param {number} gigabytes a second, each way
 * @returns {import('@paella/tensor/distributed').Group}
 */
function groupOverLink(gigabytes) {
  let last = Promise.resolve();
  return {
    ...alone,
    size: 2,
    allReduce(values) {
      const result = last.then(async () => {
        const own = await values;
        await sleep(own.byteLength / gigabytes / 1e6); // a ring of two sends everything once
        return own;
      });
      last = result.then(() => {});
      return result;
    },
    allGather: async (value) => [value, value],
  };
}

const group = options.link ? groupOverLink(Number(options.link)) : await init();
const device = await Device.create({ adapter: options.adapter, ordinal: group.localRank });
const rng = new Rng(1);
const unet = new Paella(config, { device, rng }).train();
const optimizer = new optim.AdamW(unet.namedParameters(), { lr: 1e-4 });
const sum = new GradientSum(optimizer, group, {
  dtype: options.f16 ? 'f16' : 'f32',
  ...(bucketBytes && { bucketBytes }),
});
const parameters = unet.parameters().reduce((total, { size }) => total + size, 0);
const tokens = rng.randint(device, 0, unet.config.num_labels, [batch, 16, 16]).keep();
const byt5 = rng.normal(device, [batch, 8, unet.config.byt5_embd]).keep();

const backward = () =>
  scope(() => void denoisingStep(unet, { tokens, cond: { byt5 } }, { rng, accumulate: group.size }));
const update = async () => {
  scope(() => void optimizerStep(optimizer));
  await device.synchronize();
};
/** Ways to take a step; each ends when the device is done. */
const ways = {
  async 'no exchange'() {
    backward();
    await update();
  },
  async 'exchange after'() {
    backward();
    await device.synchronize();
    await sum.finish();
    await update();
  },
  async 'exchange during'() {
    sum.during(backward);
    await sum.finish();
    await update();
  },
};

/** @type {Record<string, number[]>} */
const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  for (const [name, step] of Object.entries(ways)) {
    await group.barrier();
    const start = seconds();
    await step();
    await group.barrier(); // a step takes as long as the slowest process does
    if (round >= 0) times[name].push(seconds() - start);
  }
}
// The parts of an exchange, one after the other.
const gradients = optimizer.groups.flatMap(({ blocks }) => blocks.map(({ gradient }) => gradient));
/** @type {Record<'read' | 'all-reduce' | 'write', number[]>} */
const parts = { read: [], 'all-reduce': [], write: [] };
for (let round = 0; round < rounds; round++) {
  await group.barrier();
  let at = seconds();
  const lap = (/** @type {keyof typeof parts} */ part) => parts[part].push(seconds() - at);
  const read = await Promise.all(gradients.map((gradient) => gradient.data()));
  lap('read');
  await group.barrier();
  at = seconds();
  for (const values of read) await group.allReduce(/** @type {Float32Array} */ (values));
  lap('all-reduce');
  at = seconds();
  for (const [i, gradient] of gradients.entries())
    device.write(gradient, /** @type {Float32Array} */ (read[i]));
  await device.synchronize();
  lap('write');
}

if (group.rank === 0) {
  const milliseconds = (/** @type {Record<string, number[]>} */ all) =>
    Object.fromEntries(
      Object.entries(all).map(([name, list]) => [name, Math.round(1e4 * quantile(list, 0.5)) / 10]),
    );
  const result = {
    processes: options.link ? `1, and a link of ${options.link} GB/s` : group.size,
    adapter: device.info.name,
    processor: `${cpus().length}x ${cpus()[0].model}`,
    parameters,
    gradientMegabytes: (4 * parameters) / 1e6,
    batch,
    gradientsTravelAs: options.f16 ? 'f16' : 'f32',
    bucketMebibytes: options.buckets ?? 'usual',
    stepMilliseconds: milliseconds(times),
    exchangeMilliseconds: milliseconds(parts),
  };
  console.log(options.json ? JSON.stringify(result) : result);
}
device.destroy();
await group.finalize();
