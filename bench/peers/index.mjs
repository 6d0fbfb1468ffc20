/**
 * The peers by name, loaded when they are asked for: each may be missing on a machine.
 *
 * @type {Record<string, () => Promise<{ open: (adapter: string) => Promise<import('./engine.mjs').Peer> }>>}
 */
export const peers = {
  tfjs: () => import('./tfjs.mjs'),
  'jax-js': () => import('./jax.mjs'),
  onnxruntime: () => import('./onnxruntime.mjs'),
  pytorch: () => import('./pytorch.mjs'),
};
