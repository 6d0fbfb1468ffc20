/**
 * One pass of the U-Net: from tokens, noise levels and the text encoder's states to logits, the condition included. At
 * the embedded model's own configuration and weights with the two branches of guidance, and at larger ones of the
 * released model's shape with random weights.
 */
import { PAELLA_V3, Paella } from 'paella';
import { levelEmbedding, unet, unetWeights } from '../networks/unet.mjs';
import { loadWeights } from '../networks/weights.mjs';
import { repeated } from '../peers/ours.mjs';
import { uniform, whole } from './case.mjs';
import { embeddedUnet, randomUnet } from './models.mjs';

/** @typedef {import('./case.mjs').Case} Case */
/** @typedef {import('paella').PaellaConfig} PaellaConfig */
/** @typedef {import('./models.mjs').Model<PaellaConfig>} UnetModel */

/** The released model's, made narrower and shorter. @type {PaellaConfig} */
const MEDIUM = {
  ...PAELLA_V3,
  c_in: 128,
  c_out: 128,
  c_cond: 512,
  byt5_embd: 512,
  clip_embd: 64,
  c_hidden: [160, 320, 320],
  nhead: [-1, 4, 4],
  blocks: [2, 5, 2],
  dropout: 0,
};

/** @type {PaellaConfig} */
const LARGE = {
  ...PAELLA_V3,
  byt5_embd: 1472,
  clip_embd: 64,
  c_hidden: [320, 640, 640],
  nhead: [-1, 8, 8],
  blocks: [2, 6, 2],
  dropout: 0,
};

/**
 * One pass.
 *
 * @param {string} name @param {() => Promise<UnetModel>} model
 * @param {{ batch: number, side: number, text: number }} size pictures, tokens along a side, and tokens of the text
 * @returns {Case}
 */
export const forward = (name, model, { batch, side, text }) => ({
  suite: 'unet',
  name: `${name}, [${batch},${side},${side}] tokens, ${text} of the text`,
  async setup() {
    const { config, weights } = await model();
    const prepared = unetWeights(weights);
    const levels = Array.from({ length: batch }, (_, i) => (i + 0.5) / batch);
    const tokens = whole([batch, side, side], config.num_labels);
    const states = uniform([batch, text, config.byt5_embd]);
    return {
      inputs: [tokens, levelEmbedding(levels, config.c_r), states],
      build: (engine, [drawn, level, encoded]) =>
        unet(engine, config, (key) => engine.constant(prepared[key]), {
          tokens: drawn,
          level,
          text: encoded,
        }),
      async open(device) {
        const module = loadWeights(new Paella(config, { device }), weights).requiresGrad_(false);
        const [ids, byt5] = [tokens, states].map(({ data, shape }) => device.tensor(data, shape).keep());
        return repeated(
          device,
          () => module.forward(ids, levels, { byt5 }),
          () => [module, ids, byt5],
        );
      },
      bytes: Object.values(prepared).reduce((sum, { data }) => sum + data.byteLength, 0),
      tolerance: { relative: 1e-4, absolute: 1e-4 },
    };
  },
});

/** @type {readonly Case[]} */
export const cases = [
  forward('embedded', embeddedUnet, { batch: 2, side: 16, text: 5 }),
  forward('25 M parameters', () => randomUnet(MEDIUM), { batch: 1, side: 32, text: 16 }),
  forward('106 M parameters', () => randomUnet(LARGE), { batch: 1, side: 24, text: 16 }),
];
