/** A step of training: forward, backward, and plain gradient descent, which every engine with gradients has. */
import { ops, optim } from '@paella/tensor';
import { Paella } from 'paella';
import { levelEmbedding, unet, unetWeights } from '../networks/unet.mjs';
import { loadWeights } from '../networks/weights.mjs';
import { repeated } from '../peers/ours.mjs';
import { uniform, whole } from './case.mjs';
import { embeddedUnet } from './models.mjs';

/** @typedef {import('./case.mjs').Case} Case */

const EPS = 1e-6;

/** What a U-Net is mostly made of, with the mean square of what it is off as its loss. @type {Case} */
const block = {
  suite: 'train',
  name: 'residual block, [8,8,8,256]',
  setup() {
    const shape = [8, 8, 8, 256];
    const c = shape[3];
    const weights = [
      uniform([3, 3, 1, c], { bound: 0.3 }),
      uniform([c], { bound: 0.3 }),
      uniform([c, 4 * c], { bound: 0.06 }),
      uniform([4 * c], { bound: 0.06 }),
      uniform([1, 1, 1, 4 * c], { seed: 2, bound: 0.5 }),
      uniform([1, 1, 1, 4 * c], { seed: 3, bound: 0.5 }),
      uniform([4 * c, c], { bound: 0.06 }),
      uniform([c], { seed: 2, bound: 0.06 }),
    ];
    return {
      inputs: [uniform(shape, { bound: 1.7 }), uniform(shape, { seed: 2, bound: 1.7 })],
      build(engine, [x, target, filter, bias, w0, b0, gamma, beta, w1, b1]) {
        const { add, mul } = engine;
        const mixed = engine.conv2d(x, filter, { padding: 1, groups: c, bias });
        const wide = engine.gelu(engine.matmul(engine.layerNorm(mixed, EPS), w0, { bias: b0 }));
        const strength = engine.sqrt(engine.sum(mul(wide, wide), [1, 2]));
        const relative = engine.div(strength, add(engine.mean(strength, [3]), EPS));
        const responded = add(mul(wide, add(mul(relative, gamma), 1)), beta);
        const off = engine.sub(add(engine.matmul(responded, w1, { bias: b1 }), x), target);
        return engine.mean(mul(off, off), [0, 1, 2, 3]);
      },
      ours(_, [x, target, filter, bias, w0, b0, gamma, beta, w1, b1]) {
        const mixed = ops.conv2d(x, filter, { padding: 1, groups: c, bias });
        const wide = ops.linear(ops.layerNorm(mixed, { eps: EPS }), w0, { bias: b0, activation: 'gelu' });
        const responded = ops.globalResponseNorm(wide, gamma, beta);
        return ops.linear(responded, w1, { bias: b1, residual: x }).sub(target).square().mean();
      },
      train: { weights, lr: 0.3 },
    };
  },
};

/**
 * A U-Net and its cross-entropy, without label smoothing and weights of tokens.
 *
 * @param {string} name @param {() => Promise<import('./models.mjs').Model<import('paella').PaellaConfig>>} model
 * @param {{ batch: number, side: number, text: number }} size pictures, tokens along a side, and tokens of the text
 * @returns {Case}
 */
export const unetStep = (name, model, { batch, side, text }) => ({
  suite: 'train',
  name: `${name}, [${batch},${side},${side}] tokens, cross-entropy`,
  async setup() {
    const { config, weights } = await model();
    const prepared = unetWeights(weights);
    const names = Object.keys(prepared);
    const levels = Array.from({ length: batch }, (_, i) => (i + 0.5) / batch);
    const tokens = whole([batch, side, side], config.num_labels);
    const wanted = whole([batch * side * side], config.num_labels, 2);
    const states = uniform([batch, text, config.byt5_embd]);
    const lr = 0.1;
    return {
      inputs: [tokens, levelEmbedding(levels, config.c_r), states, wanted],
      build(engine, [noised, level, encoded, target, ...given]) {
        const weight = (/** @type {string} */ key) => given[names.indexOf(key)];
        const logits = unet(engine, config, weight, { tokens: noised, level, text: encoded });
        return engine.crossEntropy(engine.reshape(logits, [batch * side * side, config.num_labels]), target);
      },
      async open(device) {
        const module = loadWeights(new Paella(config, { device }), weights);
        const [noised, byt5, target] = [tokens, states, wanted].map(({ data, shape }) =>
          device.tensor(data, shape).keep(),
        );
        const optimizer = new optim.SGD(module.parameters(), { lr });
        const step = () => {
          const features = module.features(noised, levels, { byt5 });
          const rows = features.reshape([batch * side * side, config.c_out]);
          const { loss } = ops.linearCrossEntropy(rows, module.headWeight(), target);
          loss.backward();
          optimizer.step();
          optimizer.zeroGrad();
          return loss;
        };
        return repeated(device, step, () => [optimizer, module, noised, byt5, target]);
      },
      train: { weights: names.map((key) => prepared[key]), lr },
      tolerance: { relative: 1e-3, absolute: 1e-5 },
    };
  },
});

/** @type {readonly Case[]} */
export const cases = [block, unetStep('embedded U-Net', embeddedUnet, { batch: 8, side: 16, text: 5 })];
