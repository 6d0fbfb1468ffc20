/** The VQGAN: the embedded model's at its own size, and one of the released model's shape with random weights. */
import { VQGAN_F4, VQModel } from 'paella';
import { decode, encode, vqganWeights } from '../networks/vqgan.mjs';
import { loadWeights } from '../networks/weights.mjs';
import { repeated } from '../peers/ours.mjs';
import { uniform, whole } from './case.mjs';
import { embeddedVqgan, randomVqgan } from './models.mjs';

/** @typedef {import('./case.mjs').Case} Case */
/** @typedef {import('paella').VQModelConfig} VQModelConfig */
/** @typedef {import('./models.mjs').Model<VQModelConfig>} VqganModel */

/** The released model's, half as wide and with fewer blocks. @type {VQModelConfig} */
const LARGER = { ...VQGAN_F4, c_hidden: 192, bottleneck_blocks: 6 };

/** A latent that lies between two codes may go to either. */
const EQUAL_TOKENS = 0.99;

/** A picture to tokens. @param {string} name @param {() => Promise<VqganModel>} model @param {number} side in pixels @returns {Case} */
export const encoding = (name, model, side) => ({
  suite: 'vqgan',
  group: 'encode',
  name: `encode, ${name}, ${side}×${side} pixels`,
  async setup() {
    const { config, weights } = await model();
    const prepared = vqganWeights(weights);
    const image = uniform([1, side, side, 3]);
    return {
      inputs: [image],
      build: (engine, [pixels]) => encode(engine, config, (key) => engine.constant(prepared[key]), pixels),
      async open(device) {
        const module = loadWeights(new VQModel(config, { device }), weights).requiresGrad_(false);
        const pixels = device.tensor(image.data, image.shape).keep();
        return repeated(
          device,
          () => module.encodeIndices(pixels),
          () => [module, pixels],
        );
      },
      bytes: bytesOf(prepared, 'down'),
      compare(ours, theirs) {
        const equal = ours.filter((token, i) => token === theirs[i]).length;
        return equal >= EQUAL_TOKENS * ours.length ? undefined : `${equal} of ${ours.length} tokens agree`;
      },
    };
  },
});

/** Tokens to a picture. @param {string} name @param {() => Promise<VqganModel>} model @param {number} side in pixels @returns {Case} */
export const decoding = (name, model, side) => ({
  suite: 'vqgan',
  group: 'decode',
  name: `decode, ${name}, ${side}×${side} pixels`,
  async setup() {
    const { config, weights } = await model();
    const prepared = vqganWeights(weights);
    const grid = side / 2 ** config.levels;
    const tokens = whole([1, grid, grid], config.codebook_size);
    return {
      inputs: [tokens],
      build: (engine, [drawn]) => decode(engine, config, (key) => engine.constant(prepared[key]), drawn),
      async open(device) {
        const module = loadWeights(new VQModel(config, { device }), weights).requiresGrad_(false);
        const drawn = device.tensor(tokens.data, tokens.shape).keep();
        return repeated(
          device,
          () => module.decodeIndices(drawn),
          () => [module, drawn],
        );
      },
      bytes: bytesOf(prepared, 'up'),
    };
  },
});

/** Of one half's weights. @param {import('../networks/weights.mjs').Weights} weights @param {'down' | 'up'} half */
const bytesOf = (weights, half) =>
  Object.entries(weights).reduce(
    (sum, [name, { data }]) => sum + (name.startsWith(half) ? data.byteLength : 0),
    0,
  );

/** @type {readonly Case[]} */
export const cases = [
  encoding('embedded', embeddedVqgan, 64),
  decoding('embedded', embeddedVqgan, 64),
  encoding('c_hidden 192', () => randomVqgan(LARGER), 128),
  decoding('c_hidden 192', () => randomVqgan(LARGER), 128),
];
