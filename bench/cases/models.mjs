/** The models of the cases: configurations, and weights that are the same for every engine. */
import { Device } from '@paella/tensor';
import { Paella, VQModel, openModelFolder } from 'paella';
import { checkpointWeights, randomWeights } from '../networks/weights.mjs';

/** @typedef {import('../networks/weights.mjs').Weights} Weights */
/** @typedef {import('paella').PaellaConfig} PaellaConfig */
/** @typedef {import('paella').VQModelConfig} VQModelConfig */

/**
 * @template C
 * @typedef {{ config: C, weights: Weights }} Model
 */

/** The embedded model's own. @returns {Promise<Model<PaellaConfig>>} */
export async function embeddedUnet() {
  const folder = await openModelFolder('default');
  const { config, weights } = folder.card.unet;
  return fromCheckpoint(config, await onMeta(Paella, config), await folder.checkpoint(weights));
}

/** The embedded model's own. @returns {Promise<Model<VQModelConfig>>} */
export async function embeddedVqgan() {
  const folder = await openModelFolder('default');
  const { config, weights } = folder.card.vqgan;
  return fromCheckpoint(config, await onMeta(VQModel, config), await folder.checkpoint(weights));
}

/** Random weights. @param {PaellaConfig} config @returns {Promise<Model<PaellaConfig>>} */
export const randomUnet = async (config) => ({
  config,
  weights: randomWeights(await onMeta(Paella, config)),
});

/** Random weights. @param {VQModelConfig} config @returns {Promise<Model<VQModelConfig>>} */
export const randomVqgan = async (config) => ({
  config,
  weights: randomWeights(await onMeta(VQModel, config)),
});

/**
 * @template C, M
 * @param {new (config: C, context: { device: Device }) => M} Module @param {C} config
 */
async function onMeta(Module, config) {
  return new Module(config, { device: await Device.create({ adapter: 'meta' }) });
}

/**
 * @template C
 * @param {C} config @param {import('@paella/tensor').nn.Module} module
 * @param {import('@paella/tensor').StateDict} state
 */
async function fromCheckpoint(config, module, state) {
  const weights = await checkpointWeights(module, state);
  await state.close?.();
  return { config, weights };
}
