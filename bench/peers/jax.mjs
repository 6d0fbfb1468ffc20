/** jax-js on its WebGPU backend, a case compiled by its `jit` as a whole. */
import { settled } from '../gpu.mjs';
import { peersGpu } from './dawn.mjs';

/** @typedef {import('@jax-js/jax').Array} Arr */
/** @typedef {import('./engine.mjs').Values} Values */
/** @typedef {import('./engine.mjs').Build} Build */

/**
 * @param {string} adapter its name
 * @returns {Promise<import('./engine.mjs').Peer>}
 */
export async function open(adapter) {
  await peersGpu(adapter); // before it is loaded
  await import('core-js/actual/iterator/index.js'); // it calls helpers that Node has from 22 on
  const jax = await import('@jax-js/jax');
  const { jit, numpy: np, tree, valueAndGrad } = jax;
  const ready = await jax.init('webgpu');
  if (!ready.includes('webgpu')) throw new Error('jax-js finds no WebGPU');
  jax.defaultDevice('webgpu');
  const { queue } = jax.getWebGPUDevice();

  const upload = (/** @type {Values} */ { data, shape }) => np.array(data, { shape: [...shape] });
  /** @param {() => Arr} once @param {() => unknown} owned @returns {import('./engine.mjs').Compiled} */
  const repeated = (once, owned) => {
    /** @type {Arr | undefined} */
    let last;
    return {
      run() {
        last?.dispose();
        last = once();
        // What nobody asks for is never computed: this submits it, and does not wait.
        last.ref.gpuBufferSync();
      },
      finish: () => settled(queue.onSubmittedWorkDone()),
      read: async () => Float32Array.from((await last?.ref.data()) ?? []),
      close() {
        last?.dispose();
        tree.dispose(/** @type {Arr[]} */ (owned()));
      },
    };
  };
  return {
    name: 'jax-js',
    version: '0.1.25',
    device: adapter,
    async compile(build, values) {
      const { engine, constants } = makeEngine(jax, upload);
      const inputs = values.map(upload);
      const compiled = jit((/** @type {Arr[]} */ given) => build(engine, given));
      return repeated(
        () => compiled(tree.ref(inputs)),
        () => [...inputs, ...constants.values()],
      );
    },
    async train(build, values, weights, lr) {
      const { engine, constants } = makeEngine(jax, upload);
      const inputs = values.map(upload);
      let trained = weights.map(upload);
      const loss = (/** @type {Arr[]} */ own, /** @type {Arr[]} */ given) =>
        np.reshape(build(engine, [...given, ...own]), []);
      const update = jit((/** @type {Arr[]} */ own, /** @type {Arr[]} */ given) => {
        const [value, gradients] = valueAndGrad(loss)(tree.ref(own), given);
        const next = own.map((weight, i) => weight.sub(gradients[i].mul(lr)));
        return [value, next];
      });
      const step = () => {
        const [value, next] = /** @type {[Arr, Arr[]]} */ (update(trained, tree.ref(inputs)));
        trained = next;
        return value;
      };
      return repeated(step, () => [...inputs, ...trained, ...constants.values()]);
    },
    close: () => undefined,
  };
}

/**
 * @param {typeof import('@jax-js/jax')} jax
 * @param {(values: Values) => Arr} upload
 */
function makeEngine({ lax, nn, numpy: np }, upload) {
  /** @type {Map<Values, Arr>} */
  const constants = new Map();
  // A function owns its arguments, and a case may use a value twice: so operations take references.
  const ref = (/** @type {Arr | number} */ x) => (typeof x === 'number' ? x : x.ref);
  const biased = (/** @type {Arr} */ x, /** @type {Arr | undefined} */ bias) => (bias ? x.add(bias.ref) : x);
  /** The first and last slice of an axis twice. @param {Arr} x @param {number} axis */
  const doubled = (x, axis) => {
    const cut = (/** @type {number} */ at) => {
      /** @type {([number, number] | [])[]} */
      const ranges = x.shape.map((_, i) => (i === axis ? [at, at + 1] : []));
      return x.ref.slice(...ranges);
    };
    return np.concatenate([cut(0), x.ref, cut(x.shape[axis] - 1)], axis);
  };
  /**
   * A transposed convolution 4×4 of stride 2, each quarter of its pixels by a convolution 2×2: lax.convTranspose of this
   * version gives wrong numbers at some sizes.
   *
   * @param {Arr} x @param {Arr} weight
   */
  const inPhases = (x, weight) => {
    const [b, h, w] = x.shape;
    const co = weight.shape[3];
    const image = np.transpose(x.ref, [0, 3, 1, 2]);
    // Pixel 2m sees m − 1 and m through rows 3 and 1 of the filter; pixel 2m + 1 sees m and m + 1 through 2 and 0.
    const rows = [
      [3, 1],
      [2, 0],
    ];
    const sides = /** @type {[number, number][]} */ ([
      [1, 0],
      [0, 1],
    ]);
    const filters = np.transpose(weight.ref, [3, 2, 0, 1]);
    const quarters = [0, 1, 2, 3].map((phase) => {
      const [down, right] = [phase >> 1, phase & 1];
      const taps = rows[down].map((row) =>
        np.stack(
          rows[right].map((column) => filters.ref.slice([], [], row, column)),
          2,
        ),
      );
      const out = lax.convGeneralDilated(image.ref, np.stack(taps, 2), [1, 1], [sides[down], sides[right]]);
      return np.transpose(out, [0, 2, 3, 1]);
    });
    const together = np.stack(quarters).reshape([2, 2, b, h, w, co]);
    return np.transpose(together, [2, 3, 0, 4, 1, 5]).reshape([b, 2 * h, 2 * w, co]);
  };
  /** @type {import('./engine.mjs').Engine<Arr>} */
  const engine = {
    constant(values) {
      const known = constants.get(values) ?? upload(values);
      constants.set(values, known);
      return known;
    },
    shapeOf: (x) => x.shape,
    matmul(a, b, { transposeA = false, transposeB = false, bias } = {}) {
      if (bias) return engine.matmul(a, b, { transposeA, transposeB }).add(bias.ref);
      const lead = a.shape.slice(0, -2);
      if (b.ndim === 2 && a.ndim > 2) {
        const rows = a.ref.reshape([-1, a.shape[a.ndim - 1]]);
        const out = engine.matmul(rows, b, { transposeB });
        return out.reshape([...lead, a.shape[a.ndim - 2], out.shape[1]]);
      }
      const batch = lead.map((_, i) => i);
      return lax.dot(a.ref, b.ref, {
        lhsContractingDims: [a.ndim - (transposeA ? 2 : 1)],
        rhsContractingDims: [b.ndim - (transposeB ? 1 : 2)],
        lhsBatchDims: batch,
        rhsBatchDims: batch,
      });
    },
    add: (a, b) => np.add(a.ref, ref(b)),
    sub: (a, b) => np.subtract(a.ref, ref(b)),
    mul: (a, b) => np.multiply(a.ref, ref(b)),
    div: (a, b) => np.trueDivide(a.ref, ref(b)),
    sqrt: (x) => np.sqrt(x.ref),
    gelu: (x) => nn.gelu(x.ref, { approximate: false }),
    silu: (x) => nn.silu(x.ref),
    sum: (x, axes) => np.sum(x.ref, [...axes], { keepdims: true }),
    mean: (x, axes) => np.mean(x.ref, [...axes], { keepdims: true }),
    layerNorm(x, eps) {
      const centered = x.ref.sub(np.mean(x.ref, -1, { keepdims: true }));
      const variance = np.mean(np.square(centered.ref), -1, { keepdims: true });
      return centered.div(np.sqrt(variance.add(eps)));
    },
    softmax: (x) => nn.softmax(x.ref, -1),
    attention(q, k, v, heads) {
      const [b, n, c] = q.shape;
      const split = (/** @type {Arr} */ x) => x.ref.reshape([b, x.shape[1], heads, c / heads]);
      return nn.dotProductAttention(split(q), split(k), split(v)).reshape([b, n, c]);
    },
    conv2d(x, weight, { stride = 1, padding = 0, groups = 1, bias }) {
      const [b, h, w, ci] = x.shape;
      const [kh, kw, , co] = weight.shape;
      if (kh === stride && kw === stride && padding === 0 && groups === 1) {
        // Squares that do not overlap are rows of a product; the gradient of its own convolution is wrong at some sizes.
        const cut = x.ref.reshape([b, h / kh, kh, w / kw, kw, ci]);
        const rows = np.transpose(cut, [0, 1, 3, 2, 4, 5]).reshape([-1, kh * kw * ci]);
        const out = np.matmul(rows, weight.ref.reshape([kh * kw * ci, co]));
        return biased(out.reshape([b, h / kh, w / kw, co]), bias);
      }
      const image = np.transpose(x.ref, [0, 3, 1, 2]);
      const filter = np.transpose(weight.ref, [3, 2, 0, 1]);
      const sides = /** @type {[number, number][]} */ ([0, 1].map(() => [padding, padding]));
      const out = lax.convGeneralDilated(image, filter, [stride, stride], sides, {
        featureGroupCount: groups,
      });
      return biased(np.transpose(out, [0, 2, 3, 1]), bias);
    },
    convTranspose2d(x, weight, { stride, padding, bias }) {
      const [b, h, w] = x.shape;
      const [kh, kw, , co] = weight.shape;
      if (kh === stride && kw === stride && padding === 0) {
        const matrix = np.transpose(weight.ref, [2, 0, 1, 3]).reshape([-1, kh * kw * co]);
        const each = np.matmul(x.ref.reshape([b * h * w, -1]), matrix).reshape([b, h, w, kh, kw, co]);
        return biased(np.transpose(each, [0, 1, 3, 2, 4, 5]).reshape([b, h * kh, w * kw, co]), bias);
      }
      if (kh !== 4 || kw !== 4 || stride !== 2 || padding !== 1) throw new Error('no such convolution');
      return biased(inPhases(x, weight), bias);
    },
    padEdge: (x) => doubled(doubled(x, 1), 2),
    concat: (xs, axis) =>
      np.concatenate(
        xs.map((x) => x.ref),
        axis,
      ),
    reshape: (x, shape) => x.ref.reshape([...shape]),
    transpose: (x, order) => np.transpose(x.ref, [...order]),
    gather: (table, indices) => np.take(table.ref, indices.ref, 0),
    argmax: (x) => np.argmax(x.ref, -1),
    crossEntropy(logits, targets) {
      // nn.oneHot takes rows of an identity matrix, which is larger than a buffer may be here.
      const labels = np.arange(logits.shape[1]);
      const wanted = np.equal(np.expandDims(np.astype(targets.ref, np.int32), 1), labels);
      return np.mean(np.sum(np.where(wanted, nn.logSoftmax(logits.ref, -1), 0), -1)).mul(-1);
    },
  };
  return { engine, constants };
}
