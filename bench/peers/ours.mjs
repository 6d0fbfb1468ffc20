/** This project's engine in the terms of the cases. */
import { ops, optim, scope } from '@paella/tensor';

/** @typedef {import('@paella/tensor').Device} Device */
/** @typedef {import('@paella/tensor').Tensor} Tensor */
/** @typedef {import('./engine.mjs').Compiled} Compiled */
/** @typedef {import('./engine.mjs').Values} Values */
/** @typedef {import('../cases/case.mjs').Setup} Setup */

/**
 * Compiles a case's own form for this engine where it has one, else the one that all share.
 *
 * @param {Device} device
 * @param {Setup} setup
 * @returns {Promise<Compiled & { constantBytes?: () => number }>}
 */
export async function compileOurs(device, setup) {
  if (setup.open) return setup.open(device);
  const build = setup.ours ?? setup.build;
  /** @type {Map<Values, Tensor>} */
  const constants = new Map();
  const upload = (/** @type {Values} */ { data, shape }) => device.tensor(data, shape).keep();
  const engine = engineOf((values) => {
    const known = constants.get(values) ?? upload(values);
    constants.set(values, known);
    return known;
  });
  const inputs = setup.inputs.map(upload);
  const owned = () => [...inputs, ...constants.values()];
  const constantBytes = () => [...constants.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  if (!setup.train) return { ...repeated(device, () => build(engine, inputs), owned), constantBytes };

  const weights = setup.train.weights.map(upload);
  for (const weight of weights) weight.requiresGrad = true;
  const optimizer = new optim.SGD(weights, { lr: setup.train.lr });
  const step = () => {
    const loss = build(engine, [...inputs, ...weights]);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  return { ...repeated(device, step, () => [...owned(), optimizer, ...weights]), constantBytes };
}

/**
 * @param {Device} device @param {() => Tensor} once @param {() => { dispose(): void }[]} owned
 * @returns {Compiled}
 */
export function repeated(device, once, owned) {
  /** @type {Tensor | undefined} */
  let last;
  return {
    run() {
      last?.dispose();
      last = scope(once).keep();
    },
    finish: () => device.synchronize(),
    read: async () => Float32Array.from((await last?.data()) ?? []),
    close() {
      for (const one of [...(last ? [last] : []), ...owned()]) one.dispose();
      device.trim();
    },
  };
}

/**
 * @param {(values: Values) => Tensor} constant how weights reach the device
 * @returns {import('./engine.mjs').Engine<Tensor>}
 */
export function engineOf(constant) {
  return {
    constant,
    shapeOf: (x) => x.shape,
    matmul: (a, b, options = {}) => matmul(a, b, options),
    add: (a, b) => a.add(b),
    sub: (a, b) => a.sub(b),
    mul: (a, b) => a.mul(b),
    div: (a, b) => a.div(b),
    sqrt: (x) => x.sqrt(),
    gelu: (x) => x.gelu(),
    silu: (x) => x.silu(),
    sum: (x, axes) => x.sum(axes, { keepdim: true }),
    mean: (x, axes) => x.mean(axes, { keepdim: true }),
    layerNorm: (x, eps) => ops.layerNorm(x, { eps }),
    softmax: (x) => x.softmax(),
    attention: (q, k, v, heads) => ops.attention(q, k, v, { heads }),
    conv2d: (x, weight, options) => ops.conv2d(x, weight, options),
    convTranspose2d: (x, weight, options) => ops.convTranspose2d(x, weight, options),
    padEdge: (x) => doubled(doubled(x, 1), 2),
    concat: (xs, axis) => ops.cat(xs, axis),
    reshape: (x, shape) => x.reshape(shape),
    transpose: (x, order) => x.permute(order),
    gather: (table, indices) => ops.embedding(indices, table),
    argmax: (x) => x.argmax(),
    crossEntropy: (logits, targets) => ops.crossEntropy(logits, targets).mean(),
  };
}

/** The first and last slice of an axis twice. @param {Tensor} x @param {number} axis */
const doubled = (x, axis) => ops.cat([ops.slice(x, axis, 0, 1), x, ops.slice(x, axis, -1)], axis);

/**
 * Products with one transposed operand are what gradients are made of here, and have none themselves.
 *
 * @param {Tensor} a @param {Tensor} b
 * @param {{ transposeA?: boolean, transposeB?: boolean, bias?: Tensor }} options
 * @returns {Tensor}
 */
function matmul(a, b, { transposeA = false, transposeB = false, bias }) {
  if (bias && !transposeA && !transposeB && b.rank === 2) return ops.linear(a, b, { bias });
  if (bias) return matmul(a, b, { transposeA, transposeB }).add(bias);
  const recorded = a.requiresGrad || b.requiresGrad;
  if (!transposeA && !transposeB) return ops.matmul(a, b);
  if (recorded || transposeA === transposeB) {
    return ops.matmul(transposeA ? a.transpose() : a, transposeB ? b.transpose() : b);
  }
  return transposeB ? ops.matmulNT(a, b) : ops.matmulTN(a, b);
}
