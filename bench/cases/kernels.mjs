/**
 * Single operations at the sizes of the released U-Net (1280 channels, heads 16×80, 8192 labels), of the embedded one
 * (256 channels, heads 8×32) and of the VQGAN. Weights are constants, as they are to a model that runs.
 */
import { Rng, ops } from '@paella/tensor';
import { sizeOf, uniform, whole } from './case.mjs';

/** @typedef {import('./case.mjs').Case} Case */
/** @typedef {import('./case.mjs').Setup} Setup */

const suite = 'kernels';
const MATMUL = 'matrix products';
const CONV = 'convolutions';
const POINTWISE = 'norms, softmax, GELU';
const ATTENTION = 'attention';
const BACKWARD = 'forward and backward';
const HEADS = 'heads of 8192 labels';
const LABELS = 8192;

/** `a·b`, each of them stored transposed or not. @param {number} m @param {number} k @param {number} n @returns {Case} */
const matmul = (m, k, n, { batch = 1, transposeA = false, transposeB = false } = {}) => {
  const kind = transposeA ? 'TN' : transposeB ? 'NT' : 'NN';
  const lead = batch > 1 ? [batch] : [];
  return {
    suite,
    group: MATMUL,
    name: `matmul ${kind} ${batch > 1 ? `${batch}×` : ''}${m}×${k}·${k}×${n}`,
    setup() {
      const a = uniform([...lead, ...(transposeA ? [k, m] : [m, k])]);
      const b = uniform([...lead, ...(transposeB ? [n, k] : [k, n])]);
      return {
        // In a product of activations, neither is known beforehand.
        inputs: transposeA || batch > 1 ? [a, b] : [a],
        build: (engine, [first, second]) =>
          engine.matmul(first, second ?? engine.constant(b), { transposeA, transposeB }),
        flops: 2 * batch * m * k * n,
      };
    },
  };
};

/**
 * @param {string} name @param {readonly number[]} image @param {readonly number[]} weight
 * @param {{ stride?: number, padding?: number, groups?: number }} options @returns {Case}
 */
const conv = (name, image, weight, options) => ({
  suite,
  group: CONV,
  name,
  setup() {
    const filter = uniform(weight);
    const { stride = 1, padding = 0 } = options;
    const side = (/** @type {number} */ i) =>
      Math.floor((image[i] + 2 * padding - weight[i - 1]) / stride) + 1;
    return {
      inputs: [uniform(image)],
      build: (engine, [x]) => engine.conv2d(x, engine.constant(filter), options),
      flops: 2 * image[0] * side(1) * side(2) * sizeOf(weight),
    };
  },
});

/**
 * @param {string} name @param {readonly number[]} image @param {readonly number[]} weight
 * @param {{ stride: number, padding: number }} options @returns {Case}
 */
const convTranspose = (name, image, weight, options) => ({
  suite,
  group: CONV,
  name,
  setup() {
    const filter = uniform(weight);
    return {
      inputs: [uniform(image)],
      build: (engine, [x]) => engine.convTranspose2d(x, engine.constant(filter), options),
      flops: 2 * image[0] * image[1] * image[2] * sizeOf(weight),
    };
  },
});

/** The first block after a skip connection: channel g of the output sees channels 2g and 2g + 1 of the two joined. */
const skipConv = (/** @type {readonly number[]} */ image) => ({
  suite,
  group: CONV,
  name: `skip convolution 3×3, 2·[${image.join(',')}]`,
  /** @returns {Setup} */
  setup() {
    const c = image[3];
    const filter = uniform([3, 3, 2, c]);
    return {
      inputs: [uniform(image), uniform(image, { seed: 2 })],
      build: (engine, [x, skip]) =>
        engine.conv2d(engine.concat([x, skip], 3), engine.constant(filter), { padding: 1, groups: c }),
      ours: (engine, [x, skip]) => ops.skipConv2d(x, skip, engine.constant(filter), { padding: 1 }),
      flops: 2 * sizeOf(image) * 18,
    };
  },
});

/** @param {string} name @param {readonly number[]} shape @param {import('./case.mjs').Build} build @returns {Case} */
const pointwise = (name, shape, build) => ({
  suite,
  group: POINTWISE,
  name: `${name} ${shape.join('×')}`,
  setup: () => ({ inputs: [uniform(shape, { bound: 3 })], build }),
});

/** @param {readonly number[]} shape @returns {Case} */
const responseNorm = (shape) => ({
  suite,
  group: POINTWISE,
  name: `GRN ${shape.slice(0, 3).join('×')}×${shape[3]}`,
  setup() {
    const [gamma, beta] = [1, 2].map((seed) => uniform([shape[3]], { seed }));
    return {
      inputs: [uniform(shape)],
      build(engine, [x]) {
        const strength = engine.sqrt(engine.sum(engine.mul(x, x), [1, 2]));
        const relative = engine.div(strength, engine.add(engine.mean(strength, [3]), 1e-6));
        const scaled = engine.mul(engine.mul(x, relative), engine.constant(gamma));
        return engine.add(engine.add(scaled, engine.constant(beta)), x);
      },
      ours: (engine, [x]) => ops.globalResponseNorm(x, engine.constant(gamma), engine.constant(beta)),
    };
  },
});

/** @type {Case} */
const linearGelu = {
  suite,
  group: MATMUL,
  name: 'linear + bias + GELU 1024×256·256×1024',
  setup() {
    const [weight, bias] = [uniform([256, 1024]), uniform([1024])];
    return {
      inputs: [uniform([1024, 256], { bound: 0.3 })],
      build: (engine, [x]) =>
        engine.gelu(engine.add(engine.matmul(x, engine.constant(weight)), engine.constant(bias))),
      ours: (engine, [x]) =>
        ops.linear(x, engine.constant(weight), { bias: engine.constant(bias), activation: 'gelu' }),
      flops: 2 * 1024 * 256 * 1024,
    };
  },
};

/**
 * @param {number} batch @param {number} queries @param {number} keys @param {number} heads @param {number} size
 * @returns {Case}
 */
const attention = (batch, queries, keys, heads, size) => ({
  suite,
  group: ATTENTION,
  name: `attention ${heads}×${size}, ${batch}·${queries} queries, ${keys} keys`,
  setup() {
    const [n, m] = [queries, keys].map((rows) => [batch, rows, heads * size]);
    return {
      inputs: [uniform(n), uniform(m, { seed: 2 }), uniform(m, { seed: 3 })],
      build: (engine, [q, k, v]) => engine.attention(q, k, v, heads),
      flops: 4 * batch * queries * keys * heads * size,
    };
  },
});

/**
 * A step of gradient descent on the mean square of `apply(…weights) − target`: forward, backward, update.
 *
 * @param {string} name @param {readonly (readonly number[])[]} shapes of the weights @param {readonly number[]} out
 * @param {import('./case.mjs').Build} apply @param {number} rate of descent, by the mean's number of elements
 * @param {number} [flops] @returns {Case}
 */
const backward = (name, shapes, out, apply, rate, flops) => ({
  suite,
  group: BACKWARD,
  name: `${name}, forward and backward`,
  setup: () => ({
    inputs: [uniform(out, { seed: 9 })],
    build(engine, [target, ...weights]) {
      const off = engine.sub(apply(engine, weights), target);
      return engine.mean(
        engine.mul(off, off),
        engine.shapeOf(off).map((_, axis) => axis),
      );
    },
    train: { weights: shapes.map((shape, i) => uniform(shape, { seed: i + 1 })), lr: rate * sizeOf(out) },
    flops,
  }),
});

/** The last layer and its loss, with the gradients of both operands. @type {Case} */
const crossEntropyHead = {
  suite,
  group: HEADS,
  name: `cross-entropy head 1024×64·64×${LABELS}, forward and backward`,
  setup: () => ({
    inputs: [whole([1024], LABELS)],
    build: (engine, [target, h, weight]) => engine.crossEntropy(engine.matmul(h, weight), target),
    ours: (_, [target, h, weight]) => ops.linearCrossEntropy(h, weight, target).loss,
    train: { weights: [uniform([1024, 64]), uniform([64, LABELS])], lr: 20 },
    flops: 3 * 2 * 1024 * 64 * LABELS,
  }),
};

/**
 * The last layer and drawing a label by Gumbel noise. The peers are given the noise; this engine makes its own, so
 * draws are compared by the mean logit of what was drawn.
 *
 * @type {Case}
 */
const samplingHead = {
  suite,
  group: HEADS,
  name: `sampling head 1024×64·64×${LABELS}`,
  setup() {
    const [rows, c] = [1024, 64];
    const [h, weight] = [uniform([rows, c]), uniform([c, LABELS])];
    const noise = uniform([rows, LABELS]);
    // Uniform in (-1, 1), both ends left out, to standard Gumbel.
    noise.data.forEach(
      (u, i) => (noise.data[i] = -Math.log(-Math.log(Math.min(0.5 + u / 2.0001, 1 - 1e-6)))),
    );
    const rng = new Rng(7);
    const meanLogit = (/** @type {Float32Array} */ drawn) => {
      let sum = 0;
      for (let row = 0; row < rows; row++)
        for (let i = 0; i < c; i++) sum += h.data[row * c + i] * weight.data[i * LABELS + drawn[row]];
      return sum / rows;
    };
    return {
      inputs: [h, noise],
      build: (engine, [x, gumbel]) =>
        engine.argmax(engine.add(engine.matmul(x, engine.constant(weight)), gumbel)),
      ours: (engine, [x]) => ops.sampleLinear(x, engine.constant(weight), { rng }),
      compare(ours, theirs) {
        const [a, b] = [meanLogit(ours), meanLogit(theirs)];
        // Logits vary by 2.7; what is drawn varies less, so this is over four deviations of a mean of 1024.
        return Math.abs(a - b) < 0.4 ? undefined : `mean logit drawn ${b}, ours ${a}`;
      },
      flops: 2 * rows * c * LABELS,
      bytes: 4 * (rows * c + c * LABELS + rows),
    };
  },
};

/** @type {Case} */
const argmaxHead = {
  suite,
  group: HEADS,
  name: `argmax head 1024×64·64×${LABELS}`,
  setup() {
    const weight = uniform([64, LABELS]);
    return {
      inputs: [uniform([1024, 64])],
      build: (engine, [x]) => engine.argmax(engine.matmul(x, engine.constant(weight))),
      ours: (engine, [x]) => ops.sampleLinear(x, engine.constant(weight), { mode: 'argmax' }),
      compare(ours, theirs) {
        const equal = ours.filter((label, i) => label === theirs[i]).length;
        return equal >= 0.99 * ours.length ? undefined : `${equal} of ${ours.length} labels agree`;
      },
      flops: 2 * 1024 * 64 * LABELS,
    };
  },
};

/** @type {readonly Case[]} */
export const cases = [
  matmul(512, 512, 512),
  matmul(1024, 1024, 1024),
  matmul(4096, 256, 64),
  matmul(64, 256, 8192),
  matmul(1024, 256, 1024),
  matmul(32, 1024, 256),
  matmul(1, 1024, 1024),
  matmul(256, 4096, 256),
  matmul(256, 1280, 5120),
  matmul(256, 5120, 1280),
  matmul(512, 256, 1024),
  matmul(512, 1024, 256),
  matmul(512, 512, 512, { transposeB: true }),
  matmul(512, 1024, 256, { transposeB: true }),
  matmul(512, 512, 512, { transposeA: true }),
  matmul(256, 2048, 1024, { transposeA: true }),
  matmul(256, 256, 256, { batch: 8 }),
  linearGelu,
  conv('depthwise 3×3, 32×32×256', [1, 32, 32, 256], [3, 3, 1, 256], { padding: 1, groups: 256 }),
  conv('depthwise 3×3, 2·32×32×640', [2, 32, 32, 640], [3, 3, 1, 640], { padding: 1, groups: 640 }),
  skipConv([2, 16, 16, 128]),
  skipConv([2, 32, 32, 640]),
  conv('convolution 2×2 stride 2, 2·16×16×128 → 256', [2, 16, 16, 128], [2, 2, 128, 256], { stride: 2 }),
  conv('convolution 2×2 stride 2, 32×32×640 → 1280', [1, 32, 32, 640], [2, 2, 640, 1280], { stride: 2 }),
  conv('convolution 4×4 stride 2, 64×64×96 → 192', [1, 64, 64, 96], [4, 4, 96, 192], {
    stride: 2,
    padding: 1,
  }),
  conv('convolution 3×3, 32×32×128 → 128', [1, 32, 32, 128], [3, 3, 128, 128], { padding: 1 }),
  convTranspose('transposed 2×2 stride 2, 16×16×1280 → 640', [1, 16, 16, 1280], [2, 2, 1280, 640], {
    stride: 2,
    padding: 0,
  }),
  convTranspose('transposed 4×4 stride 2, 32×32×192 → 96', [1, 32, 32, 192], [4, 4, 192, 96], {
    stride: 2,
    padding: 1,
  }),
  pointwise('layer norm', [1024, 1024], (engine, [x]) => engine.layerNorm(x, 1e-6)),
  pointwise('layer norm', [512, 256], (engine, [x]) => engine.layerNorm(x, 1e-6)),
  responseNorm([1, 32, 32, 1024]),
  responseNorm([2, 8, 8, 1024]),
  pointwise('softmax', [1024, 1024], (engine, [x]) => engine.softmax(x)),
  pointwise('softmax', [512, 72], (engine, [x]) => engine.softmax(x)),
  pointwise('GELU', [1024, 1024], (engine, [x]) => engine.gelu(x)),
  pointwise('GELU', [512, 256], (engine, [x]) => engine.gelu(x)),
  attention(1, 256, 64, 16, 80),
  attention(1, 256, 320, 16, 80),
  attention(1, 256, 1100, 16, 80),
  attention(2, 64, 72, 8, 32),
  backward(
    'matmul 1024×256·256×1024',
    [
      [1024, 256],
      [256, 1024],
    ],
    [1024, 1024],
    (engine, [a, b]) => engine.matmul(a, b),
    0.001,
    3 * 2 * 1024 * 256 * 1024,
  ),
  backward(
    'layer norm 1024×1024',
    [[1024, 1024]],
    [1024, 1024],
    (engine, [x]) => engine.layerNorm(x, 1e-6),
    0.1,
  ),
  backward(
    'attention 16×80, 256 queries, 320 keys',
    [
      [1, 256, 1280],
      [1, 320, 1280],
      [1, 320, 1280],
    ],
    [1, 256, 1280],
    (engine, [q, k, v]) => engine.attention(q, k, v, 16),
    1,
    14 * 256 * 320 * 1280,
  ),
  crossEntropyHead,
  argmaxHead,
  samplingHead,
];
