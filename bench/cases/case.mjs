/**
 * What a case is: data that the runner hands to every engine.
 *
 * @typedef {import('../peers/engine.mjs').Build} Build
 * @typedef {import('../peers/engine.mjs').Compiled} Compiled
 * @typedef {import('../peers/engine.mjs').Values} Values
 * @typedef {import('@paella/tensor').Device} Device
 * @typedef {import('@paella/tensor').Tensor} Tensor
 */

/**
 * @typedef {object} Case
 * @property {string} suite
 * @property {string} [group] what it is summed up with in short tables; the suite where absent
 * @property {string} name unique within its suite
 * @property {() => Setup | Promise<Setup>} setup makes the values; called when the case's turn comes
 *
 * @typedef {object} Setup
 * @property {Build} build the computation, over any engine's operations
 * @property {readonly Values[]} inputs
 * @property {{ weights: readonly Values[], lr: number }} [train] the case is a training step: `build` gets
 *   `[...inputs, ...weights]` and gives a scalar loss
 * @property {(engine: import('../peers/engine.mjs').Engine<Tensor>, inputs: readonly Tensor[]) => Tensor} [ours] the
 *   same by this engine's fused operations; `build` where absent
 * @property {(device: Device) => Promise<Compiled>} [open] this engine's own way where neither is it: a pipeline, a
 *   training step of a model
 * @property {number} [flops] of one run, by definition of the computation; counted by this engine where absent
 * @property {number} [bytes] that one run must move at least; inputs, constants and output once each where absent
 * @property {{ relative: number, absolute: number }} [tolerance] of the correctness check: a number may be off by
 *   `absolute + relative · largest magnitude of ours`; 1e-4 and 1e-5 where absent
 * @property {(ours: Float32Array, theirs: Float32Array) => string | undefined} [compare] instead of the tolerance: says
 *   what is wrong
 */

/** Of the correctness check, where a case names none. */
export const TOLERANCE = { relative: 1e-4, absolute: 1e-5 };

/**
 * Values that are the same in every run: uniform in ±bound, by a small generator of its own, so that making a case
 * touches no device.
 *
 * @param {readonly number[]} shape
 * @param {{ seed?: number, bound?: number }} [options]
 * @returns {{ shape: readonly number[], data: Float32Array<ArrayBuffer> }}
 */
export function uniform(shape, { seed = 1, bound = 1 } = {}) {
  const next = generator(seed + 7919 * shape.reduce((sum, length, i) => sum * 31 + length + i, 17));
  const data = new Float32Array(sizeOf(shape)).map(() => (2 * next() - 1) * bound);
  return { shape, data };
}

/**
 * Whole numbers in [0, end).
 *
 * @param {readonly number[]} shape
 * @param {number} end
 * @param {number} [seed]
 * @returns {{ shape: readonly number[], data: Uint32Array<ArrayBuffer> }}
 */
export function whole(shape, end, seed = 1) {
  const next = generator(seed);
  return { shape, data: new Uint32Array(sizeOf(shape)).map(() => Math.floor(next() * end)) };
}

/** @param {readonly number[]} shape */
export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

/** Mulberry32. @param {number} seed */
function generator(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
