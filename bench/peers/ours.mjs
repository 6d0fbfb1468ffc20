/** The cases in this project's engine, and what every engine starts from: weights, and one fixed batch. */
import { Rng, nn, ops, optim, scope } from '@paella/tensor';
import { Paella, addNoise, denoisingStep, optimizerStep } from 'paella';
import { timed } from './contender.mjs';

/** @typedef {import('@paella/tensor').Device} Device */
/** @typedef {import('@paella/tensor').Tensor} Tensor */
/** @typedef {import('./contender.mjs').Case} Case */
/** @typedef {import('./contender.mjs').Contender} Contender */

/** Draws the batch's noise, in every step the same. */
const NOISE_SEED = 7;
const MIN_T = 0.001;

/**
 * The U-Net, and a batch of random tokens. What it starts with zeros gets small random values: else whole branches
 * would compute nothing, and losses would agree whatever they do.
 *
 * @param {Device} device
 * @param {import('paella').PaellaConfig} model
 * @returns {Promise<Case>}
 */
export async function unetCase(device, model) {
  const rng = new Rng(1);
  const unet = new Paella(model, { device, rng });
  /** @type {Case['weights']} */
  const weights = {};
  for (const [name, parameter] of unet.namedParameters()) {
    const { shape } = parameter;
    const data = await parameter.save();
    weights[name] = data.some((value) => value !== 0) ? { shape, data } : hostValues(rng, shape, 0.05);
  }
  unet.dispose();

  const [batch, side] = [8, 16];
  const target = rng.randint(device, 0, model.num_labels, [batch, side, side]);
  const byt5 = rng.normal(device, [batch, 4, model.byt5_embd]);
  // As denoisingStep draws them: the peers are given the results.
  const noise = new Rng(NOISE_SEED);
  const t = scope(() => noise.uniform(device, [batch]).neg().add(1 + MIN_T).clamp(MIN_T, 1)); // prettier-ignore
  const { noised, mask } = addNoise(target, t, { rng: noise, numLabels: model.num_labels });
  /** @type {Case['inputs']} */
  const inputs = {};
  for (const [name, tensor] of Object.entries({ target, byt5, t, noised, mask })) {
    const data = /** @type {Float32Array<ArrayBuffer>} */ (await tensor.data());
    inputs[name] = { shape: tensor.shape, data };
    tensor.dispose();
  }
  return { options: { case: 'unet', model, lr: 3e-4, gradClip: 1, labelSmoothing: 0.1 }, weights, inputs };
}

/**
 * One residual block, and the learning rate that makes its loss fall visibly in a few steps.
 *
 * @returns {Case}
 */
export function blockCase() {
  const [b, h, w, c] = [8, 8, 8, 256];
  const rng = new Rng(2);
  const values = (/** @type {number} */ bound, /** @type {number[]} */ ...shape) =>
    hostValues(rng, shape, bound);
  const weights = {
    'depthwise.weight': values(0.3, c, 1, 3, 3),
    'depthwise.bias': values(0.3, c),
    'channelwise.0.weight': values(0.06, 4 * c, c),
    'channelwise.0.bias': values(0.06, 4 * c),
    'channelwise.2.gamma': values(0.5, 1, 1, 1, 4 * c),
    'channelwise.2.beta': values(0.5, 1, 1, 1, 4 * c),
    'channelwise.4.weight': values(0.06, c, 4 * c),
    'channelwise.4.bias': values(0.06, c),
  };
  const inputs = { x: values(1.7, b, h, w, c), target: values(1.7, b, h, w, c) };
  return { options: { case: 'block', lr: 0.3 }, weights, inputs };
}

/** Uniform in ±bound. @param {Rng} rng @param {readonly number[]} shape @param {number} bound */
function hostValues(rng, shape, bound) {
  const count = shape.reduce((a, b) => a * b, 1);
  return { shape, data: rng.uniformArray(count).map((u) => (2 * u - 1) * bound) };
}

/**
 * @param {Device} device @param {Case} given @param {import('paella').PaellaConfig} model
 * @returns {Promise<Contender>}
 */
export async function ourUnet(device, given, model) {
  const unet = await loaded(new Paella(model, { device }), given);
  const [tokens, byt5] = [given.inputs.target, given.inputs.byt5].map(({ data, shape }) =>
    device.tensor(data, shape),
  );
  const optimizer = new optim.AdamW(unet.parameters(), { lr: 3e-4 });
  const step = () => {
    const rng = new Rng(NOISE_SEED);
    const { loss } = denoisingStep(unet, { tokens, cond: { byt5 } }, { rng, minT: MIN_T });
    optimizerStep(optimizer, { gradClip: 1 });
    return loss;
  };
  const ours = contender(device, step, [optimizer, unet, tokens, byt5]);
  // Nothing else has run in this process yet.
  const memory = () => ({ ...ours.memory(), process: process.resourceUsage().maxRSS / 2 ** 10 });
  return { ...ours, memory };
}

/** Paella's ResBlock, which its package keeps to itself, from the same parts. */
class ResBlock extends nn.Module {
  /** @param {number} c @param {nn.ModuleContext} context */
  constructor(c, context) {
    super(context);
    this.depthwise = new nn.Conv2d(c, c, 3, context, { padding: 1, groups: c });
    this.channelwise = new nn.Positions(context, {
      0: new nn.Linear(c, 4 * c, context),
      2: new nn.GlobalResponseNorm(4 * c, context),
      4: new nn.Linear(4 * c, c, context),
    });
  }

  /** @param {Tensor} x */
  forward(x) {
    const normed = ops.layerNorm(this.depthwise.forward(x), { eps: 1e-6 });
    const wide = this.channelwise.get(0).forward(normed, { activation: 'gelu' });
    return this.channelwise.get(4).forward(this.channelwise.get(2).forward(wide), { residual: x });
  }
}

/** @param {Device} device @param {Case} given @returns {Promise<Contender>} */
export async function ourBlock(device, given) {
  const [x, target] = [given.inputs.x, given.inputs.target].map(({ data, shape }) =>
    device.tensor(data, shape),
  );
  const block = await loaded(new ResBlock(x.shape[3], { device }), given);
  const optimizer = new optim.SGD(block.parameters(), { lr: Number(given.options.lr) });
  const step = () => {
    const loss = block.forward(x).sub(target).square().mean();
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  return contender(device, step, [optimizer, block, x, target]);
}

/** @template {nn.Module} M @param {M} module @param {Case} given */
async function loaded(module, { weights }) {
  const state = new Map(Object.entries(weights));
  for (const [name, parameter] of module.namedParameters()) parameter.load(state.get(name)?.data ?? []);
  await module.device.flush();
  return module;
}

/**
 * @param {Device} device @param {() => Tensor} step @param {{ dispose(): void }[]} owned
 * @returns {Contender}
 */
function contender(device, step, owned) {
  return {
    name: 'ours',
    device: device.info.name,
    steps: (count) =>
      timed(count, async () => {
        const loss = scope(step);
        const value = await loss.item();
        loss.dispose();
        return value;
      }),
    memory: () => ({ buffers: device.memory().peakBytes / 2 ** 20 }),
    close: () => {
      for (const one of owned) one.dispose();
    },
  };
}
