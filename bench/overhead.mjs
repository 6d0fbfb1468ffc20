/** What the engine itself costs beside its kernels: recording, starting and memory. There is nothing to compare with. */
import { Device, scope } from '@paella/tensor';
import { Pipeline } from 'paella';
import { quantile } from './quantile.mjs';

/** @typedef {import('./schema.mjs').Fact} Fact */

const PROMPT = 'a red apple';
const DISPATCHES = 2000;

/**
 * @param {Device} device opened before, on the adapter to measure; a step's first use is measured on one of its own
 * @param {number} rounds
 * @returns {Promise<Fact[]>}
 */
export async function measureOverhead(device, rounds) {
  const suite = 'overhead';
  return [
    { suite, name: `${DISPATCHES} dispatches of 256 elements`, ours: await dispatchCost(device, rounds) },
    {
      suite,
      name: 'first use and memory of the embedded model',
      ours: await modelCost(device.info.name, rounds),
    },
  ];
}

/**
 * Microseconds a dispatch, medians: recorded only; recorded and encoded, until all is submitted; and until all is
 * computed, which on a small operation is what the adapter takes to start a dispatch.
 *
 * @param {Device} device @param {number} rounds
 */
async function dispatchCost(device, rounds) {
  const x = device.zeros([256]);
  /** @type {Record<string, number[]>} */
  const times = { recordUs: [], encodeUs: [], executeUs: [] };
  for (let round = -1; round < rounds; round++) {
    const start = performance.now();
    scope(() => {
      for (let i = 0; i < DISPATCHES; i++) x.add(1).dispose();
    });
    const recorded = performance.now();
    await device.flush();
    const encoded = performance.now();
    await device.synchronize();
    const executed = performance.now();
    if (round < 0) continue; // compiles
    for (const [key, end] of Object.entries({ recordUs: recorded, encodeUs: encoded, executeUs: executed })) {
      times[key].push((1000 * (end - start)) / DISPATCHES);
    }
  }
  x.dispose();
  return Object.fromEntries(Object.entries(times).map(([key, values]) => [key, quantile(values, 0.5)]));
}

/** A step of the embedded model and a whole generation, cold and warm. @param {string} adapter @param {number} rounds */
async function modelCost(adapter, rounds) {
  const device = await Device.create({ adapter });
  const start = performance.now();
  const pipeline = await Pipeline.load('default', { device });
  const loadMs = performance.now() - start;
  const conditions = await pipeline.conditions([{ prompt: PROMPT }, { prompt: '', asWritten: true }]);
  const condition = pipeline.unet.prepare(conditions);
  const tokens = device.zeros([2, 16, 16], { dtype: 'u32' });
  const step = async () => {
    const begun = performance.now();
    scope(() => void pipeline.unet.features(tokens, 0.5, condition));
    const recorded = performance.now();
    await device.synchronize();
    return { recordMs: recorded - begun, ms: performance.now() - begun };
  };
  const { ms: stepFirstMs } = await step();
  const { pipelines } = device.stats();
  device.resetStats();
  const warm = [];
  for (let i = 0; i < rounds; i++) warm.push(await step());
  const dispatches = device.stats().dispatches / rounds;
  condition.dispose();
  tokens.dispose();

  device.trim();
  device.resetPeak();
  const generate = async () => {
    const begun = performance.now();
    await pipeline.generate(PROMPT, { seed: 7 });
    return performance.now() - begun;
  };
  const generateFirstMs = await generate();
  const { peakBytes, peakLiveBytes } = device.memory();
  const generateMs = await generate();
  pipeline.dispose();
  device.destroy();
  return {
    loadMs,
    stepFirstMs,
    stepMs: quantile(
      warm.map(({ ms }) => ms),
      0.5,
    ),
    stepRecordUsPerDispatch: quantile(
      warm.map(({ recordMs }) => (1000 * recordMs) / dispatches),
      0.5,
    ),
    stepDispatches: dispatches,
    stepPipelines: pipelines,
    generateFirstMs,
    generateMs,
    peakMiB: peakBytes / 2 ** 20,
    peakByLiveSet: peakBytes / peakLiveBytes,
  };
}
