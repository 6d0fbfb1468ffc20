/** WebGPU for the other engines of a run, so that they compute on the same adapter and driver as this one. */
import { deviceOf, isBrowser } from '../gpu.mjs';

/** @type {Map<string, Promise<GPU>>} */
const plain = new Map();

/**
 * WebGPU for the other engines, on the adapter of this one. In Node it makes the process look like a page, to engines
 * that know WebGPU in browsers only, with a Dawn instance as their users would make it. In a page, it is the page's own.
 *
 * @param {string} adapter its name
 * @returns {Promise<GPU>}
 */
export async function peersGpu(adapter) {
  if (isBrowser) return navigator.gpu;
  let made = plain.get(adapter);
  if (!made) {
    made = import('./vulkan.mjs').then(({ plainInstance }) => plainInstance(adapter));
    plain.set(adapter, made);
  }
  const gpu = await made;
  const value = { gpu, userAgent: 'Node', hardwareConcurrency: 1 };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
  return gpu;
}

/** A device for another engine. @param {string} name the adapter's */
export const peersDevice = async (name) => deviceOf(await peersGpu(name));
