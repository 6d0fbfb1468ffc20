/**
 * The suites by name, loaded when they are asked for. `overhead`, which has no peers, is in overhead.mjs.
 *
 * @type {Record<string, () => Promise<{ cases: readonly import('./cases/case.mjs').Case[] }>>}
 */
export const suites = {
  kernels: () => import('./cases/kernels.mjs'),
  unet: () => import('./cases/unet.mjs'),
  vqgan: () => import('./cases/vqgan.mjs'),
  sample: () => import('./cases/sample.mjs'),
  train: () => import('./cases/train.mjs'),
};

export const suiteNames = [...Object.keys(suites), 'overhead'];
