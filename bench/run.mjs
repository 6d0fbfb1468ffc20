/**
 * Runs cases: every engine's numbers are compared first, then all take turns, round by round, so that what else the
 * machine does hits all alike. Nothing here depends on Node.
 */
import { TOLERANCE } from './cases/case.mjs';
import { compileOurs } from './peers/ours.mjs';
import { quantile } from './quantile.mjs';

/**
 * @typedef {import('@paella/tensor').Device} Device
 * @typedef {import('./cases/case.mjs').Case} Case
 * @typedef {import('./cases/case.mjs').Setup} Setup
 * @typedef {import('./peers/engine.mjs').Compiled} Compiled
 * @typedef {import('./peers/engine.mjs').Peer} Peer
 * @typedef {import('./ceilings.mjs').Ceilings} Ceilings
 * @typedef {import('./schema.mjs').CaseResult} CaseResult
 * @typedef {import('./schema.mjs').Timing} Timing
 */

/**
 * @typedef {object} RunOptions
 * @property {number} rounds at most; fewer where they would take longer than `budgetMs`, but at least 3
 * @property {number} budgetMs of a case's rounds
 * @property {() => number} [cpuMs] processor time of this process so far, of all its threads
 */

/** A measurement repeats a case until it takes this long. */
const LONG_ENOUGH = 30;
const MAX_REPEATS = 500;
/** The peer that computes on the processor, without WebGPU: shown for reference, and no part of the ratio. */
const REFERENCE = 'pytorch';

/**
 * @param {Case} given
 * @param {Device} device
 * @param {readonly Peer[]} peers
 * @param {RunOptions} options
 * @returns {Promise<Omit<CaseResult, 'bound' | 'ceilingShare'>>}
 * @throws if this engine fails
 */
export async function runCase(given, device, peers, options) {
  const setup = await given.setup();
  /** @type {Map<string, Compiled>} */
  const running = new Map();
  try {
    const ours = await compileOurs(device, setup);
    running.set('ours', ours);
    device.resetStats();
    const reference = await firstNumbers(ours, setup);
    const { flops, dispatches, pipelines } = device.stats();
    const steps = setup.train ? 2 : 1;

    /** @type {Record<string, string>} */
    const left = {};
    for (const peer of peers) {
      /** @type {Compiled | undefined} */
      let compiled;
      try {
        compiled = await compile(peer, setup);
        const wrong = compare(setup, reference, await firstNumbers(compiled, setup));
        if (wrong) throw new Error(wrong);
        running.set(peer.name, compiled);
      } catch (error) {
        left[peer.name] = firstLine(error);
        compiled?.close();
      }
    }
    const turns = await race(running, options);
    const work = {
      flops: setup.flops ?? flops / steps,
      bytes: setup.bytes ?? leastBytes(setup, ours, reference.length),
    };
    const facts = { dispatches: dispatches / steps, pipelines };
    return summary(given, turns, work, facts, left);
  } finally {
    for (const compiled of running.values()) compiled.close();
  }
}

/** @param {Peer} peer @param {Setup} setup */
function compile(peer, { build, inputs, train }) {
  if (!train) return peer.compile(build, inputs);
  if (!peer.train) throw new Error('has no gradients');
  return peer.train(build, inputs, train.weights, train.lr);
}

/** The numbers of the first run; of the second step in training, which depend on gradients. @param {Compiled} compiled @param {Setup} setup */
async function firstNumbers(compiled, { train }) {
  await compiled.run();
  if (train) await compiled.run();
  const numbers = await compiled.read();
  await compiled.finish();
  return numbers;
}

/** @param {Setup} setup @param {Float32Array} ours @param {Float32Array} theirs */
function compare({ compare: own, tolerance = TOLERANCE }, ours, theirs) {
  if (ours.length !== theirs.length) return `gives ${theirs.length} numbers, not ${ours.length}`;
  if (own) return own(ours, theirs);
  let [largest, off] = [0, 0];
  for (let i = 0; i < ours.length; i++) {
    largest = Math.max(largest, Math.abs(ours[i]));
    // NaN on one side only is as far off as can be.
    const difference = Math.abs(ours[i] - theirs[i]);
    off = difference <= off ? off : Number.isNaN(difference) ? Infinity : difference;
  }
  const allowed = tolerance.absolute + tolerance.relative * largest;
  return off <= allowed
    ? undefined
    : `differs by ${off.toPrecision(3)}, ${allowed.toPrecision(3)} is allowed`;
}

/** @param {Map<string, Compiled>} running @param {RunOptions} options */
async function race(running, { rounds, budgetMs, cpuMs }) {
  /** @type {{ name: string, compiled: Compiled, repeats: number, ms: number[], cpuMs: number[] }[]} */
  const turns = [];
  let roundMs = 0;
  // The first round also finds how often each must run to be measured well.
  for (const [name, compiled] of running) {
    let repeats = 1;
    let taken = await measure(compiled, repeats, cpuMs);
    // The first estimate has the wait for the device in it, which many runs share.
    for (let i = 0; i < 2 && taken.ms * repeats < LONG_ENOUGH; i++) {
      repeats = Math.min(MAX_REPEATS, Math.ceil(LONG_ENOUGH / taken.ms));
      taken = await measure(compiled, repeats, cpuMs);
    }
    roundMs += taken.ms * repeats;
    turns.push({ name, compiled, repeats, ms: [taken.ms], cpuMs: taken.cpuMs });
  }
  const count = Math.max(Math.min(3, rounds), Math.min(rounds, Math.floor(budgetMs / roundMs)));
  for (let round = 1; round < count; round++) {
    for (const turn of turns) {
      const taken = await measure(turn.compiled, turn.repeats, cpuMs);
      turn.ms.push(taken.ms);
      turn.cpuMs.push(...taken.cpuMs);
    }
  }
  return turns;
}

/** Of one run. @param {Compiled} compiled @param {number} repeats @param {RunOptions['cpuMs']} ownCpuMs */
async function measure(compiled, repeats, ownCpuMs) {
  const clock = async () => (ownCpuMs && compiled.cpuMs ? await compiled.cpuMs() : ownCpuMs?.());
  const cpuStart = await clock();
  const start = performance.now();
  for (let i = 0; i < repeats; i++) {
    const pending = compiled.run();
    if (pending) await pending;
  }
  await compiled.finish();
  const ms = (performance.now() - start) / repeats;
  const cpuEnd = await clock();
  const both = cpuStart !== undefined && cpuEnd !== undefined;
  return { ms, cpuMs: both ? [(cpuEnd - cpuStart) / repeats] : [] };
}

/** @param {Setup} setup @param {{ constantBytes?: () => number }} ours @param {number} outputs */
function leastBytes({ inputs, train }, ours, outputs) {
  const held = [...inputs, ...(train ? [...train.weights, ...train.weights] : [])];
  const bytes = held.reduce((sum, { data }) => sum + data.byteLength, 0);
  return bytes + (ours.constantBytes?.() ?? 0) + 4 * outputs;
}

/**
 * @param {Case} given
 * @param {Awaited<ReturnType<typeof race>>} turns
 * @param {{ flops: number, bytes: number }} work
 * @param {{ dispatches: number, pipelines: number }} facts of ours
 * @param {Record<string, string>} left
 */
function summary({ suite, group = suite, name }, turns, work, facts, left) {
  const timings = Object.fromEntries(turns.map((turn) => [turn.name, timing(turn, work)]));
  const { ours, ...peers } = timings;
  const compared = Object.entries(peers).filter(([peer]) => peer !== REFERENCE);
  const best = (/** @type {'ms' | 'cpuMs'} */ key) => {
    const values = compared.map(([, peer]) => peer[key]).filter((value) => value !== undefined);
    const own = ours[key];
    return values.length > 0 && own ? Math.min(...values) / own : null;
  };
  return {
    suite,
    group,
    name,
    ...work,
    ours: { ...ours, ...facts },
    peers,
    left,
    ratio: best('ms'),
    cpuRatio: best('cpuMs'),
  };
}

/**
 * Adds which ceiling binds a case, and the share of it that was reached.
 *
 * @param {Omit<CaseResult, 'bound' | 'ceilingShare'>} result
 * @param {Ceilings} ceilings
 * @returns {CaseResult}
 */
export function withCeilings(result, ceilings) {
  const shares = { compute: result.ours.gflops / ceilings.gflops, memory: result.ours.gbps / ceilings.gbps };
  const bound = shares.compute > shares.memory ? 'compute' : 'memory';
  return { ...result, bound, ceilingShare: shares[bound] };
}

/** @param {{ repeats: number, ms: number[], cpuMs: number[] }} own @param {{ flops: number, bytes: number }} work @returns {Timing} */
function timing({ repeats, ms: all, cpuMs }, { flops, bytes }) {
  const ms = quantile(all, 0.5);
  return {
    ms,
    minMs: quantile(all, 0),
    q1Ms: quantile(all, 0.25),
    q3Ms: quantile(all, 0.75),
    ...(cpuMs.length > 0 && { cpuMs: quantile(cpuMs, 0.5) }),
    gflops: flops / ms / 1e6,
    gbps: bytes / ms / 1e6,
    rounds: all.length,
    repeats,
  };
}

/** @param {unknown} error */
export const firstLine = (error) => (error instanceof Error ? error.message : String(error)).split('\n')[0];
