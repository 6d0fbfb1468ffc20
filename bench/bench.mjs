/**
 * `npm run bench -- [--suite kernels|unet|sample|v3|all] [--adapter NAME] [--json FILE]`
 *
 * Reports, and asserts nothing: times depend on the machine. Every time is the median of several runs after
 * a warm-up, and includes recording, submitting and waiting for the device.
 */
import { Device, Rng, ops, scope } from '@paella/tensor';
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { PAELLA_V3, Paella, Pipeline } from 'paella';

const { values: options } = parseArgs({
  options: {
    suite: { type: 'string', default: 'all' },
    adapter: { type: 'string', default: 'auto' },
    json: { type: 'string' },
  },
});

/** @param {() => unknown} work @param {Device} device @param {number} runs */
async function medianMs(work, device, runs = 7) {
  const times = [];
  for (let i = 0; i <= runs; i++) {
    const start = performance.now();
    await work();
    await device.synchronize();
    if (i > 0) times.push(performance.now() - start); // the first run compiles
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
}

/**
 * Runs `work` often enough that a measurement takes 20 ms, and gives milliseconds, GFLOP/s and GB/s of one.
 * @param {string} name @param {() => void} work @param {Device} device
 */
async function kernelCase(name, work, device) {
  const once = () => scope(work);
  once();
  await device.synchronize();
  device.resetStats();
  once();
  const { flops, bytes } = device.stats();
  const repeats = Math.max(1, Math.round(20 / (await medianMs(once, device, 3))));
  const many = () => {
    for (let i = 0; i < repeats; i++) once();
  };
  const ms = (await medianMs(many, device)) / repeats;
  return { name, ms, gflops: flops / ms / 1e6, gbps: bytes / ms / 1e6 };
}

const suites = {
  /** @param {Device} device */
  async kernels(device) {
    const rng = new Rng(1);
    /** @param {number[]} shape */
    const normal = (...shape) => rng.normal(device, shape);
    const cases = [];
    for (const [m, k, n] of [
      [512, 512, 512],
      [1024, 256, 1024],
      [128, 256, 1024],
      [32, 1024, 256],
    ]) {
      const [a, b] = [normal(m, k), normal(k, n)];
      cases.push(await kernelCase(`matmul ${m}×${k}×${n}`, () => void ops.matmul(a, b), device));
    }
    const image = normal(1, 32, 32, 256);
    const depthwise = normal(3, 3, 1, 256);
    const dense = normal(3, 3, 128, 128);
    const narrow = normal(1, 32, 32, 128);
    const rows = normal(1024, 1024);
    const tokens = normal(8, 1024, 32);
    const work = {
      'depthwise 3×3, 32×32×256': () => void ops.conv2d(image, depthwise, { padding: 1, groups: 256 }),
      'conv 3×3, 32×32×128': () => void ops.conv2d(narrow, dense, { padding: 1 }),
      'softmax 1024×1024': () => void rows.softmax(),
      'layer norm 1024×1024': () => void ops.layerNorm(rows),
      'gelu 1024×1024': () => void rows.gelu(),
      'attention 8×1024×32': () => void ops.attention(tokens, tokens, tokens, { heads: 1 }),
    };
    for (const [name, one] of Object.entries(work)) cases.push(await kernelCase(name, one, device));
    return cases;
  },

  /** One guided U-Net step of the embedded model. @param {Device} device */
  async unet(device) {
    device.trim();
    const pipeline = await Pipeline.load('default', { device });
    const condition = pipeline.unet.prepare([pipeline.condition('a red apple'), pipeline.condition('')]);
    const tokens = device.zeros([2, 16, 16], { dtype: 'u32' });
    const step = () => scope(() => void pipeline.unet.features(tokens, 0.5, condition));
    device.resetStats();
    device.resetPeak();
    step();
    const { dispatches, pipelines, flops } = device.stats();
    const ms = await medianMs(step, device);
    const { peakBytes } = device.memory();
    condition.dispose();
    pipeline.dispose();
    return [
      {
        name: 'embedded, guided',
        ms,
        gflops: flops / ms / 1e6,
        dispatches,
        pipelines,
        peakBytes,
      },
    ];
  },

  /** A whole generation of the embedded model. @param {Device} device */
  async sample(device) {
    device.trim();
    const start = performance.now();
    const pipeline = await Pipeline.load('default', { device });
    const loadMs = performance.now() - start;
    device.resetStats();
    device.resetPeak();
    const generate = () => pipeline.generate('a red apple', { seed: 7 });
    const first = performance.now();
    await generate();
    const firstMs = performance.now() - first;
    const { dispatches, pipelines, flops } = device.stats();
    const ms = await medianMs(generate, device, 3);
    const { peakBytes } = device.memory();
    pipeline.dispose();
    const cost = { dispatches, pipelines, peakBytes, gflops: flops / ms / 1e6 };
    return [{ name: 'embedded, 12 steps', ms, loadMs, firstMs, ...cost }];
  },

  /** What one guided step of the released model would take: counted on the meta device, not run. */
  async v3() {
    const rows = [];
    for (const dtype of /** @type {const} */ (['f32', 'f16'])) {
      const device = await Device.create({ adapter: 'meta' });
      const unet = new Paella(PAELLA_V3, { device }).to({ dtype }).requiresGrad_(false);
      const weightBytes = device.memory().liveBytes;
      const byt5 = (/** @type {number} */ length) => ({
        byt5: device.empty([1, length, PAELLA_V3.byt5_embd]),
      });
      const condition = unet.prepare([byt5(64), byt5(1)]);
      device.trim();
      device.resetStats();
      device.resetPeak();
      scope(() => void unet.features(device.empty([2, 64, 64], 'u32'), 0.5, condition));
      const { dispatches, pipelines, flops } = device.stats();
      const { peakBytes } = device.memory();
      const cost = { dispatches, pipelines, gflopsTotal: flops / 1e9, weightBytes, peakBytes };
      rows.push({ name: `PAELLA_V3, 64×64 tokens, guided, ${dtype}`, ...cost });
    }
    return rows;
  },
};

const chosen = options.suite === 'all' ? Object.keys(suites) : [options.suite];
if (!chosen.every((name) => name in suites)) {
  process.stderr.write(`--suite is one of ${Object.keys(suites).join(', ')} or all, got ${options.suite}\n`);
  process.exit(2);
}
const device = await Device.create({ adapter: options.adapter });
const cases = [];
for (const name of chosen) {
  const rows = await suites[/** @type {keyof typeof suites} */ (name)](device);
  process.stdout.write(`${name} on ${name === 'v3' ? 'meta' : device.info.name}\n`);
  console.table(Object.fromEntries(rows.map(({ name: row, ...rest }) => [row, rounded(rest)])));
  cases.push(...rows.map((row) => ({ suite: name, ...row })));
}
if (options.json) {
  const report = { adapter: device.info.name, date: new Date().toISOString(), node: process.version, cases };
  await writeFile(options.json, JSON.stringify(report, null, 2));
}

/** @param {Record<string, number>} row */
function rounded(row) {
  return Object.fromEntries(Object.entries(row).map(([key, value]) => [key, Number(value.toPrecision(4))]));
}
