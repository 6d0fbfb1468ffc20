/**
 * The suites by name, loaded when they are asked for. `overhead`, which has no peers, is in overhead.mjs.
 *
 * @type {Record<string, () => Promise<{ cases: readonly import('./cases/case.mjs').Case[] }>>}
 */
export const suites = {
  kernels: () => import('./cases/kernels.mjs'),
};
