/** The residual block in jax-js, compiled by its `jit` as a whole: loss, gradients and update. */
import { countBuffers, pretendBrowser, timed } from './contender.mjs';

/** @typedef {import('@jax-js/jax').Array} Arr */

/**
 * @param {string} adapter @param {import('./contender.mjs').Case} given
 * @returns {Promise<import('./contender.mjs').Contender>}
 */
export async function jaxBlock(adapter, { options, weights, inputs }) {
  pretendBrowser(adapter); // before it is loaded
  const {
    init,
    defaultDevice,
    getWebGPUDevice,
    jit,
    lax,
    nn,
    numpy: np,
    tree,
    valueAndGrad,
  } = await import('@jax-js/jax');
  const ready = await init('webgpu');
  if (!ready.includes('webgpu')) throw new Error('jax-js finds no WebGPU');
  defaultDevice('webgpu');
  const peakMiB = countBuffers(getWebGPUDevice());

  const array = (/** @type {import('./contender.mjs').Values} */ { data, shape }) =>
    np.array(data, { shape: [...shape] });
  const [x, target] = [inputs.x, inputs.target].map(array);
  const [b, h, w, c] = x.shape;

  // A function owns its arguments: whoever needs one again passes `.ref`.
  const norm = (/** @type {Arr} */ a) => {
    const centered = a.ref.sub(np.mean(a, -1, { keepdims: true }));
    const variance = np.mean(np.square(centered.ref), -1, { keepdims: true });
    return centered.div(np.sqrt(variance.add(1e-6)));
  };
  const responseNorm = (/** @type {Arr} */ a, /** @type {Arr} */ gamma, /** @type {Arr} */ beta) => {
    const strength = np.sqrt(np.sum(np.square(a.ref), [1, 2], { keepdims: true }));
    const mean = np.mean(strength.ref, -1, { keepdims: true });
    const relative = strength.div(mean.add(1e-6));
    return a.ref.mul(relative).mul(gamma).add(beta).add(a);
  };
  const loss = (
    /** @type {Record<string, Arr>} */ p,
    /** @type {Arr} */ image,
    /** @type {Arr} */ wanted,
  ) => {
    const filter = p['depthwise.weight'];
    const channelsFirst = np.transpose(image.ref, [0, 3, 1, 2]);
    const mixed = lax.convGeneralDilated(channelsFirst, filter, [1, 1], 'SAME', { featureGroupCount: c });
    const normed = norm(np.transpose(mixed, [0, 2, 3, 1]).add(p['depthwise.bias']));
    const wide = np
      .matmul(normed.reshape([b * h * w, c]), p['channelwise.0.weight'])
      .add(p['channelwise.0.bias']);
    const grid = nn.gelu(wide, { approximate: false }).reshape([b, h, w, 4 * c]);
    const responded = responseNorm(grid, p['channelwise.2.gamma'], p['channelwise.2.beta']);
    const back = np
      .matmul(responded.reshape([b * h * w, 4 * c]), p['channelwise.4.weight'])
      .add(p['channelwise.4.bias']);
    return np.mean(np.square(back.reshape([b, h, w, c]).add(image).sub(wanted)));
  };
  const lr = Number(options.lr);
  const update = jit(
    (/** @type {Record<string, Arr>} */ p, /** @type {Arr} */ image, /** @type {Arr} */ wanted) => {
      const [scalar, gradients] = valueAndGrad(loss)(tree.ref(p), image, wanted);
      const next = tree.map((/** @type {Arr} */ a, /** @type {Arr} */ g) => a.sub(g.mul(lr)), p, gradients);
      return [scalar, next];
    },
  );
  // Linear layers as [in,out].
  const stored = (/** @type {import('./contender.mjs').Values} */ values) =>
    values.shape.length === 2 ? np.transpose(array(values)) : array(values);
  let params = Object.fromEntries(Object.entries(weights).map(([name, values]) => [name, stored(values)]));
  const step = async () => {
    const [scalar, next] = /** @type {[Arr, Record<string, Arr>]} */ (update(params, x.ref, target.ref));
    params = next;
    const [number] = await scalar.data();
    return number;
  };
  return {
    name: 'jax-js 0.1.25, WebGPU',
    device: adapter,
    steps: (count) => timed(count, step),
    memory: () => ({ buffers: peakMiB() }),
    close: () => tree.dispose(params),
  };
}
