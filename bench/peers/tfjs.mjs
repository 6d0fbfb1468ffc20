/** TensorFlow.js on its WebGPU backend. */
import * as tf from '@tensorflow/tfjs';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { settled } from '../gpu.mjs';
import { peersDevice } from './dawn.mjs';

/** @typedef {import('@tensorflow/tfjs').Tensor} Tensor */
/** @typedef {import('@tensorflow/tfjs').Tensor2D} Tensor2D */
/** @typedef {import('@tensorflow/tfjs').Tensor3D} Tensor3D */
/** @typedef {import('@tensorflow/tfjs').Tensor4D} Tensor4D */
/** @typedef {import('@tensorflow/tfjs').Scalar} Scalar */
/** @typedef {import('./engine.mjs').Values} Values */

/**
 * @param {string} adapter its name
 * @returns {Promise<import('./engine.mjs').Peer>}
 */
export async function open(adapter) {
  const { device, info } = await peersDevice(adapter);
  const backend = new WebGPUBackend(device, info);
  // Where there is WebGPU when it is loaded, it registers one of its own.
  if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => backend);
  await tf.setBackend('webgpu');

  const finish = async () => {
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.submitQueue();
    await settled(device.queue.onSubmittedWorkDone());
  };
  /** @param {() => Tensor} once @param {() => Tensor[]} owned @returns {import('./engine.mjs').Compiled} */
  const repeated = (once, owned) => {
    /** @type {Tensor | undefined} */
    let last;
    return {
      run() {
        last?.dispose();
        last = once();
      },
      finish,
      read: async () => Float32Array.from((await last?.data()) ?? []),
      close: () => tf.dispose([...(last ? [last] : []), ...owned()]),
    };
  };
  return {
    name: 'tfjs',
    version: tf.version_core,
    device: adapter,
    async compile(build, values) {
      const { engine, held } = makeEngine();
      const inputs = values.map(upload);
      const once = () => tf.tidy(() => build(engine, inputs));
      return repeated(once, () => [...inputs, ...held()]);
    },
    async train(build, values, weights, lr) {
      const { engine, held } = makeEngine();
      const inputs = values.map(upload);
      const variables = weights.map((weight) => tf.tidy(() => tf.variable(upload(weight))));
      const optimizer = tf.train.sgd(lr);
      const loss = () => /** @type {Scalar} */ (build(engine, [...inputs, ...variables]).reshape([]));
      const step = () => {
        const value = optimizer.minimize(loss, true, variables);
        if (!value) throw new Error('the loss was not returned');
        return value;
      };
      return repeated(step, () => [...inputs, ...variables, ...held()]);
    },
    close: () => device.destroy(),
  };
}

/** @param {Values} values */
const upload = ({ data, shape }) =>
  data instanceof Uint32Array ? tf.tensor(Int32Array.from(data), [...shape]) : tf.tensor(data, [...shape]);

function makeEngine() {
  /** @type {Map<Values, Tensor>} */
  const constants = new Map();
  /** Constant filters as this engine wants them. @type {Map<Tensor, Tensor>} */
  const filters = new Map();
  /** @param {Tensor} weight @param {() => Tensor} make */
  const stored = (weight, make) => {
    if (![...constants.values()].includes(weight)) return make();
    const known = filters.get(weight) ?? tf.keep(tf.tidy(make));
    filters.set(weight, known);
    return known;
  };
  /** @type {import('./engine.mjs').Engine<Tensor>} */
  const engine = {
    constant(values) {
      const known = constants.get(values) ?? tf.keep(upload(values));
      constants.set(values, known);
      return known;
    },
    shapeOf: (x) => x.shape,
    matmul(a, b, { transposeA = false, transposeB = false, bias } = {}) {
      const product = (/** @type {Tensor} */ left) =>
        tf.fused.matMul({ a: left, b, transposeA, transposeB, bias });
      if (b.rank > 2 || a.rank === 2) return product(a);
      const n = /** @type {Tensor2D} */ (b).shape[transposeB ? 0 : 1];
      return product(a.reshape([-1, a.shape[a.rank - 1] ?? 0])).reshape([...a.shape.slice(0, -1), n]);
    },
    add: (a, b) => tf.add(a, b),
    sub: (a, b) => tf.sub(a, b),
    mul: (a, b) => tf.mul(a, b),
    div: (a, b) => tf.div(a, b),
    sqrt: (x) => tf.sqrt(x),
    gelu: (x) => x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1)),
    silu: (x) => x.mul(x.sigmoid()),
    sum: (x, axes) => x.sum([...axes], true),
    mean: (x, axes) => x.mean([...axes], true),
    layerNorm(x, eps) {
      const centered = x.sub(x.mean(-1, true));
      return centered.div(centered.square().mean(-1, true).add(eps).sqrt());
    },
    softmax: (x) => tf.softmax(x),
    attention(q, k, v, heads) {
      const [b, n, c] = /** @type {Tensor3D} */ (q).shape;
      const split = (/** @type {Tensor} */ x) => x.reshape([b, -1, heads, c / heads]).transpose([0, 2, 1, 3]);
      const scores = tf.matMul(split(q), split(k), false, true).mul(1 / Math.sqrt(c / heads));
      return tf.matMul(tf.softmax(scores), split(v)).transpose([0, 2, 1, 3]).reshape([b, n, c]);
    },
    conv2d(x, weight, { stride: strides = 1, padding = 0, groups = 1, bias }) {
      const image = /** @type {Tensor4D} */ (x);
      const kernel = /** @type {Tensor4D} */ (weight);
      if (groups === 1) return tf.fused.conv2d({ x: image, filter: kernel, strides, pad: padding, bias });
      const [kh, kw, own, co] = kernel.shape;
      if (groups !== co) throw new Error('no such convolution');
      // Output channel g sees the `own` channels from own·g on: a depthwise convolution, then their sum.
      const filter = stored(weight, () => weight.transpose([0, 1, 3, 2]).reshape([kh, kw, own * co, 1]));
      const options = { x: image, filter: /** @type {Tensor4D} */ (filter), strides, pad: padding };
      if (own === 1) return tf.fused.depthwiseConv2d({ ...options, bias });
      const each = tf.fused.depthwiseConv2d(options);
      // Its sum over so short an axis is slower than adding slices.
      const parts = tf.split(each.reshape([-1, own]), own, 1);
      const sum = parts.reduce((a, b) => a.add(b)).reshape([...each.shape.slice(0, 3), co]);
      return bias ? sum.add(bias) : sum;
    },
    convTranspose2d(x, weight, { stride, padding, bias }) {
      const [b, h, w] = /** @type {Tensor4D} */ (x).shape;
      const [kh, kw, , co] = /** @type {Tensor4D} */ (weight).shape;
      if (kh === stride && kw === stride && padding === 0) {
        // Its own is slower than the matrix product that this is.
        const matrix = stored(weight, () => weight.transpose([2, 0, 1, 3]).reshape([-1, kh * kw * co]));
        const each = tf.matMul(x.reshape([b * h * w, -1]), matrix).reshape([b, h, w, kh, kw, co]);
        const pixels = each.transpose([0, 1, 3, 2, 4, 5]).reshape([b, h * kh, w * kw, co]);
        return bias ? pixels.add(bias) : pixels;
      }
      const filter = stored(weight, () => weight.transpose([0, 1, 3, 2]));
      const size = (/** @type {number} */ side, /** @type {number} */ k) =>
        (side - 1) * stride - 2 * padding + k;
      const out = tf.conv2dTranspose(
        /** @type {Tensor4D} */ (x),
        /** @type {Tensor4D} */ (filter),
        [b, size(h, kh), size(w, kw), co],
        stride,
        padding,
      );
      return bias ? out.add(bias) : out;
    },
    padEdge: (x) => tf.mirrorPad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], 'symmetric'), // prettier-ignore
    concat: (xs, axis) => tf.concat([...xs], axis),
    reshape: (x, shape) => x.reshape([...shape]),
    transpose: (x, order) => x.transpose([...order]),
    gather: (table, indices) => tf.gather(table, indices),
    argmax: (x) => x.argMax(-1),
    crossEntropy: (logits, targets) => {
      const [, labels] = /** @type {Tensor2D} */ (logits).shape;
      const wanted = tf.oneHot(targets, labels);
      return tf.losses.softmaxCrossEntropy(wanted, logits);
    },
  };
  return { engine, held: () => [...constants.values(), ...filters.values()] };
}
