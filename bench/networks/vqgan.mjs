/** Paella's VQGAN (packages/paella/src/vqgan) over any engine's operations, as an exporter would write it down. */
import { pixelShuffle, pixelUnshuffle } from './unet.mjs';
import { reorder } from './weights.mjs';

/** @typedef {import('paella').VQModelConfig} VQModelConfig */
/** @typedef {import('./weights.mjs').Weights} Weights */
/** @typedef {import('./weights.mjs').Floats} Floats */

/**
 * @template T
 * @typedef {import('../peers/engine.mjs').Engine<T>} Engine
 */

const CODEBOOK = 'vquantizer.codebook.weight';

/** Of PyTorch's batch norm. */
const NORM_EPS = 1e-5;

/**
 * The weights as the networks below ask for them: batch norm is part of the convolution before it, gates are numbers
 * of their own, and the codebook also comes as what finds the nearest code.
 *
 * @param {Weights} weights under their names in a state dict
 * @returns {Weights}
 */
export function vqganWeights(weights) {
  /** @type {Weights} */
  const prepared = {};
  for (const [name, values] of Object.entries(weights)) {
    const { shape, data } = values;
    if (name.endsWith('gammas')) {
      // Scale, shift, gate, twice; the scales are differences from 1.
      const numbers = data.map((value, i) => (i % 3 === 0 ? 1 + value : value));
      numbers.forEach(
        (value, i) => (prepared[`${name}.${i}`] = { shape: [1], data: Float32Array.of(value) }),
      );
    } else {
      const pointwise = shape.length === 4 && shape[0] * shape[1] === 1 && shape[2] > 1;
      prepared[name] = pointwise ? { shape: shape.slice(2), data } : values;
    }
  }
  const latent = Object.keys(weights)
    .find((name) => name.endsWith('.running_var'))
    ?.replace('.1.running_var', '');
  const norm = (/** @type {string} */ name) => weights[`${latent}.1.${name}`].data;
  const factors = norm('weight').map((weight, i) => weight / Math.sqrt(norm('running_var')[i] + NORM_EPS));
  const { shape, data } = prepared[`${latent}.0.weight`];
  prepared.toLatent = { shape, data: data.map((value, i) => value * factors[i % factors.length]) };
  const bias = norm('bias').map((value, i) => value - norm('running_mean')[i] * factors[i]);
  prepared.toLatentBias = { shape: [bias.length], data: bias };

  // |x − e|² = |x|² − 2·(x·e − |e|²/2): the nearest code has the largest of what is in brackets.
  const codes = weights[CODEBOOK];
  const [count, width] = codes.shape;
  const halves = Float32Array.from({ length: count }, (_, row) => {
    const code = codes.data.subarray(row * width, (row + 1) * width);
    return -code.reduce((sum, value) => sum + value * value, 0) / 2;
  });
  prepared.codes = reorder(codes, [1, 0]);
  prepared.codesBias = { shape: [count], data: halves };
  return prepared;
}

/**
 * @template T
 * @param {Engine<T>} engine
 * @param {(name: string) => T} weight of {@link vqganWeights}
 */
const partsOf = (engine, weight) => {
  const { add, mul } = engine;
  const linear = (/** @type {string} */ name, /** @type {T} */ x) =>
    engine.matmul(x, weight(`${name}.weight`), { bias: weight(`${name}.bias`) });
  const resBlock = (/** @type {string} */ name, /** @type {T} */ x) => {
    const [scale0, shift0, gate0, scale1, shift1, gate1] = [0, 1, 2, 3, 4, 5].map((i) =>
      weight(`${name}.gammas.${i}`),
    );
    const adjusted = (/** @type {T} */ input, /** @type {T} */ scale, /** @type {T} */ shift) =>
      add(mul(engine.layerNorm(input, 1e-6), scale), shift);
    const mixed = engine.conv2d(
      engine.padEdge(adjusted(x, scale0, shift0)),
      weight(`${name}.depthwise.1.weight`),
      { groups: engine.shapeOf(x)[3], bias: weight(`${name}.depthwise.1.bias`) },
    );
    const h = add(x, mul(mixed, gate0));
    const wide = engine.gelu(linear(`${name}.channelwise.0`, adjusted(h, scale1, shift1)));
    return add(h, mul(linear(`${name}.channelwise.2`, wide), gate1));
  };
  return { linear, resBlock };
};

/**
 * What is quantised, `[B,h,w,c_latent]`, in the codebook's scale.
 *
 * @template T
 * @param {Engine<T>} engine @param {VQModelConfig} config @param {(name: string) => T} weight
 * @param {T} image `[B,H,W,3]`
 */
function latents(engine, { levels }, weight, image) {
  const { linear, resBlock } = partsOf(engine, weight);
  let x = linear('in_block.1', pixelUnshuffle(engine, image, 2));
  let at = 0;
  for (let level = 0; level < levels; level++) {
    if (level > 0) {
      const name = `down_blocks.${at++}`;
      const bias = weight(`${name}.bias`);
      x = engine.conv2d(x, weight(`${name}.weight`), { stride: 2, padding: 1, bias });
    }
    x = resBlock(`down_blocks.${at++}`, x);
  }
  return engine.matmul(x, weight('toLatent'), { bias: weight('toLatentBias') });
}

/**
 * Tokens, `[B,h,w]`.
 *
 * @type {<T>(engine: Engine<T>, config: VQModelConfig, weight: (name: string) => T, image: T) => T}
 */
export const encode = (engine, config, weight, image) =>
  engine.argmax(
    engine.matmul(latents(engine, config, weight, image), weight('codes'), { bias: weight('codesBias') }),
  );

/**
 * A picture, `[B,H,W,3]`, not clamped.
 *
 * @template T
 * @param {Engine<T>} engine @param {VQModelConfig} config @param {(name: string) => T} weight
 * @param {T} tokens u32 `[B,h,w]`
 */
export function decode(engine, { levels, bottleneck_blocks }, weight, tokens) {
  const { linear, resBlock } = partsOf(engine, weight);
  let x = linear('up_blocks.0.0', engine.gather(weight(CODEBOOK), tokens));
  let at = 1;
  for (let level = levels - 1; level >= 0; level--) {
    const count = level === levels - 1 ? bottleneck_blocks : 1;
    for (let i = 0; i < count; i++) x = resBlock(`up_blocks.${at++}`, x);
    if (level === 0) continue;
    const name = `up_blocks.${at++}`;
    const bias = weight(`${name}.bias`);
    x = engine.convTranspose2d(x, weight(`${name}.weight`), { stride: 2, padding: 1, bias });
  }
  return pixelShuffle(engine, linear('out_block.0', x), 2);
}
