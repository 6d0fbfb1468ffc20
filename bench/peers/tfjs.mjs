/** The residual block in TensorFlow.js, on its WebGPU backend. */
import * as tf from '@tensorflow/tfjs';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { countBuffers, pretendBrowser, timed } from './contender.mjs';

/** @typedef {import('@tensorflow/tfjs').Tensor4D} Tensor4D */

/** What its own initialisation asks of an adapter; that one runs in pages only. */
const LIMITS = /** @type {const} */ ([
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
]);

/**
 * @param {string} adapterName @param {import('./contender.mjs').Case} given
 * @returns {Promise<import('./contender.mjs').Contender>}
 */
export async function tfjsBlock(adapterName, { options, weights, inputs }) {
  const adapter = await pretendBrowser(adapterName).requestAdapter();
  if (!adapter) throw new Error(`no adapter ${adapterName}`);
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  const device = await adapter.requestDevice({ requiredLimits });
  const peakMiB = countBuffers(device);
  tf.registerBackend('webgpu', () => new WebGPUBackend(device, adapter.info));
  await tf.setBackend('webgpu');

  const [x, target] = [inputs.x, inputs.target].map(({ data, shape }) => tf.tensor(data, [...shape]));
  const [b, h, w, c] = x.shape;
  const v = Object.fromEntries(
    Object.entries(weights).map(([name, values]) => [name, tf.variable(inTheirLayout(values))]),
  );
  const filter = /** @type {Tensor4D} */ (/** @type {unknown} */ (v['depthwise.weight']));
  const loss = () => {
    const mixed = tf.depthwiseConv2d(/** @type {Tensor4D} */ (x), filter, 1, 'same').add(v['depthwise.bias']);
    const centered = mixed.sub(mixed.mean(-1, true));
    const normed = centered.div(centered.square().mean(-1, true).add(1e-6).sqrt());
    const wide = normed
      .reshape([b * h * w, c])
      .matMul(v['channelwise.0.weight'])
      .add(v['channelwise.0.bias']);
    const active = wide.mul(0.5).mul(wide.mul(Math.SQRT1_2).erf().add(1));
    const grid = active.reshape([b, h, w, 4 * c]);
    const strength = grid.square().sum([1, 2], true).sqrt();
    const relative = strength.div(strength.mean(-1, true).add(1e-6));
    const responded = grid
      .mul(relative)
      .mul(v['channelwise.2.gamma'])
      .add(v['channelwise.2.beta'])
      .add(grid)
      .reshape([b * h * w, 4 * c]);
    const back = responded.matMul(v['channelwise.4.weight']).add(v['channelwise.4.bias']);
    return /** @type {import('@tensorflow/tfjs').Scalar} */ (
      back.reshape([b, h, w, c]).add(x).sub(target).square().mean()
    );
  };
  const optimizer = tf.train.sgd(Number(options.lr));
  const step = async () => {
    const value = optimizer.minimize(loss, true, Object.values(v));
    if (!value) throw new Error('the loss was not returned');
    const [number] = await value.data();
    value.dispose();
    return number;
  };
  return {
    name: `tfjs ${tf.version_core}, WebGPU`,
    device: adapterName,
    steps: (count) => timed(count, step),
    memory: () => ({ buffers: peakMiB() }),
    close: () => device.destroy(),
  };
}

/**
 * Linear layers as `[in,out]`, depthwise filters as `[height,width,channels,1]`.
 * @param {import('./contender.mjs').Values} values
 */
function inTheirLayout({ data, shape }) {
  return tf.tidy(() => {
    const given = tf.tensor(data, [...shape]);
    if (shape.length === 2) return given.transpose();
    return shape.length === 4 && shape[2] === 3 ? given.transpose([2, 3, 0, 1]) : given;
  });
}
