/** WebGPU for the engines of a run, so that they compute on the same adapter and driver. */

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
  if (typeof document !== 'undefined') return navigator.gpu;
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

/**
 * The entry through which @paella/tensor opened the adapter, which keeps those on globalThis by driver and name.
 *
 * @param {string} adapter its name
 * @returns {GPU}
 * @throws if this process has opened no such adapter yet
 */
function ownGpu(adapter) {
  if (typeof document !== 'undefined') return navigator.gpu;
  const instances = Reflect.get(globalThis, Symbol.for('paella.dawn-instances'));
  for (const [key, gpu] of /** @type {Map<string, GPU>} */ (instances ?? new Map())) {
    if (key.endsWith(`: ${adapter}`)) return gpu;
  }
  throw new Error(`no WebGPU instance was made for ${adapter}`);
}

/** A device of the instance that this engine runs on. @param {string} name the adapter's */
export const ownDevice = (name) => deviceOf(ownGpu(name));

/** A device for another engine. @param {string} name the adapter's */
export const peersDevice = async (name) => deviceOf(await peersGpu(name));

/**
 * With every limit it offers.
 *
 * @param {GPU} gpu
 * @returns {Promise<{ device: GPUDevice, info: GPUAdapterInfo }>}
 */
async function deviceOf(gpu) {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('no adapter');
  /** @type {Record<string, number>} */
  const requiredLimits = {};
  for (const key in adapter.limits) {
    const value = adapter.limits[/** @type {keyof GPUSupportedLimits} */ (key)];
    if (typeof value === 'number') requiredLimits[key] = value;
  }
  return { device: await adapter.requestDevice({ requiredLimits }), info: adapter.info };
}

/**
 * Waits for the device as this project's engine does on software adapters: in Node, Dawn asks for news in every turn of
 * the event loop, which takes a core from an adapter that computes on the processor. Every engine is waited for like
 * this, so that none pays for it.
 *
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export function settled(promise) {
  if (typeof document !== 'undefined') return promise;
  const never = new Int32Array(new SharedArrayBuffer(4));
  const start = performance.now();
  let open = true;
  const nap = () => {
    if (!open) return;
    Atomics.wait(never, 0, 0, Math.min(1, (performance.now() - start) / 8));
    setImmediate(nap);
  };
  setImmediate(nap);
  return promise.finally(() => (open = false));
}
