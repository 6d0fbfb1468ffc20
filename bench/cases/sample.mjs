/**
 * A whole generation of the embedded model. This engine runs its pipeline: the text encoder, 12 guided steps that draw
 * and renoise, and the decoder. A peer gets less to do: 12 guided passes whose tokens are the most likely ones, and the
 * decoder, in one graph, with the text encoder's states given. Draws differ, so pictures are only checked for their
 * size and range.
 */
import { Pipeline } from 'paella';
import { levelEmbedding, unetFeatures, unetWeights } from '../networks/unet.mjs';
import { decode, vqganWeights } from '../networks/vqgan.mjs';
import { uniform, whole } from './case.mjs';
import { embeddedUnet, embeddedVqgan } from './models.mjs';

/** @typedef {import('./case.mjs').Case} Case */

const [STEPS, GUIDANCE, SIDE, WORDS] = [12, 4, 16, 5];

/** @type {Case} */
const generation = {
  suite: 'sample',
  name: `embedded, ${STEPS} guided steps and the decoder; peers without drawing`,
  async setup() {
    const [u, v] = [await embeddedUnet(), await embeddedVqgan()];
    const [forUnet, forVqgan] = [unetWeights(u.weights), vqganWeights(v.weights)];
    const levels = Array.from({ length: STEPS }, (_, i) =>
      levelEmbedding([1 - i / STEPS, 1 - i / STEPS], u.config.c_r),
    );
    return {
      inputs: [whole([1, SIDE, SIDE], u.config.num_labels), uniform([2, WORDS, u.config.byt5_embd])],
      build(engine, [noise, text]) {
        const weight = (/** @type {string} */ name) => engine.constant(forUnet[name]);
        let tokens = noise;
        for (const one of levels) {
          const level = engine.constant(one);
          const features = unetFeatures(engine, u.config, weight, { tokens, level, text });
          // cfg·conditional + (1 − cfg)·unconditional, as a product over the branches.
          const branches = engine.reshape(features, [2, SIDE * SIDE * u.config.c_out]);
          const guided = engine.matmul(engine.constant(guide), branches);
          const rows = engine.reshape(guided, [1, SIDE, SIDE, u.config.c_out]);
          tokens = engine.argmax(engine.matmul(rows, weight('out_mapper.1.weight')));
        }
        return decode(engine, v.config, (name) => engine.constant(forVqgan[name]), tokens);
      },
      async open(device) {
        const pipeline = await Pipeline.load('default', { device });
        /** @type {import('paella').RgbaImage | undefined} */
        let image;
        return {
          async run() {
            ({
              images: [image],
            } = await pipeline.generate('a red apple', { seed: 7 }));
          },
          finish: () => device.synchronize(),
          read: async () =>
            Float32Array.from(
              [...(image?.data ?? [])].filter((_, i) => i % 4 < 3),
              (n) => n / 255,
            ),
          close: () => pipeline.dispose(),
        };
      },
      bytes: STEPS * Object.values(forUnet).reduce((sum, { data }) => sum + data.byteLength, 0),
      compare: (_, theirs) => (theirs.every((n) => n > -1 && n < 2) ? undefined : 'gives no picture'),
    };
  },
};

/** @type {import('../peers/engine.mjs').Values} */
const guide = { shape: [1, 2], data: Float32Array.of(GUIDANCE, 1 - GUIDANCE) };

/** @type {readonly Case[]} */
export const cases = [generation];
