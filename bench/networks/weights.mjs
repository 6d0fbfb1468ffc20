/** The weights of this engine's modules as plain values, stored as its kernels and the suite's operations want them. */
import { uniform } from '../cases/case.mjs';

/** @typedef {import('@paella/tensor').nn.Module} Module */
/** @typedef {import('@paella/tensor').nn.Parameter} Parameter */
/** @typedef {import('../peers/engine.mjs').Values} Values */
/** @typedef {{ shape: readonly number[], data: Float32Array<ArrayBuffer> }} Floats */
/** @typedef {Record<string, Floats>} Weights by their names in a state dict */

/** From PyTorch's order of axes to the stored one. @type {Record<Parameter['layout'], readonly number[] | null>} */
const ORDERS = { same: null, linear: [1, 0], conv: [2, 3, 1, 0], convTranspose: [2, 3, 0, 1] };

/**
 * Random weights that keep activations near their size, so that every branch of a deep network counts.
 *
 * @param {Module} module on the meta device, to name the weights and their shapes
 * @returns {Weights}
 */
export function randomWeights(module) {
  return Object.fromEntries(
    module.namedParameters().map(([name, parameter], i) => {
      const values = uniform(parameter.storedShape, { seed: i + 1, bound: boundOf(name, parameter) });
      // A variance is positive.
      const data = name.endsWith('running_var') ? values.data.map((value) => 1 + value / 2) : values.data;
      return [name, { ...values, data }];
    }),
  );
}

/** @param {string} name @param {Parameter} parameter */
function boundOf(name, { layout, shape, size }) {
  if (layout !== 'same') return Math.sqrt(3 / (size / shape[layout === 'convTranspose' ? 1 : 0]));
  return /bias|gamma|beta/.test(name) ? 0.2 : 1;
}

/**
 * The weights of a checkpoint.
 *
 * @param {Module} module on the meta device
 * @param {import('@paella/tensor').StateDict} state
 * @returns {Promise<Weights>}
 */
export async function checkpointWeights(module, state) {
  /** @type {Weights} */
  const weights = {};
  for (const [name, { layout, shape }] of module.namedParameters()) {
    const data = Float32Array.from(/** @type {ArrayLike<number>} */ ((await state.get(name)).data), Number);
    const order = ORDERS[layout];
    weights[name] = order ? reorder({ shape, data }, order) : { shape, data };
  }
  return weights;
}

/**
 * Puts weights into a module on a device.
 *
 * @template {Module} M
 * @param {M} module @param {Weights} weights
 * @returns {M}
 */
export function loadWeights(module, weights) {
  for (const [name, parameter] of module.namedParameters()) {
    parameter.value = module.device.tensor(weights[name].data, parameter.storedShape);
  }
  return module;
}

/** @param {Floats} values @param {readonly number[]} order of the axes @returns {Floats} */
export function reorder({ shape, data }, order) {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const out = new Float32Array(data.length);
  let at = 0;
  const fill = (/** @type {number} */ depth, /** @type {number} */ from) => {
    if (depth === order.length) out[at++] = data[from];
    else for (let i = 0; i < shape[order[depth]]; i++) fill(depth + 1, from + i * strides[order[depth]]);
  };
  fill(0, 0);
  return { shape: order.map((axis) => shape[axis]), data: out };
}

/**
 * Cuts the last axis into equal parts.
 *
 * @param {Floats} values @param {number} parts
 * @returns {Floats[]}
 */
export function splitColumns({ shape, data }, parts) {
  const whole = shape[shape.length - 1];
  const width = whole / parts;
  return Array.from({ length: parts }, (_, part) => ({
    shape: [...shape.slice(0, -1), width],
    data: Float32Array.from(
      { length: data.length / parts },
      (_unused, i) => data[Math.floor(i / width) * whole + part * width + (i % width)],
    ),
  }));
}
