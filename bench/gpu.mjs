/** WebGPU as this project's engine has it, and what all engines of a run do alike. */

/** Whether this is a page or its worker, where WebGPU is the browser's. */
export const isBrowser = typeof document !== 'undefined' || 'WorkerGlobalScope' in globalThis;

/**
 * The entry through which @paella/tensor opened the adapter, which keeps those on globalThis by driver and name.
 *
 * @param {string} adapter its name
 * @returns {GPU}
 * @throws if this process has opened no such adapter yet
 */
function ownGpu(adapter) {
  if (isBrowser) return navigator.gpu;
  const instances = Reflect.get(globalThis, Symbol.for('paella.dawn-instances'));
  for (const [key, gpu] of /** @type {Map<string, GPU>} */ (instances ?? new Map())) {
    if (key.endsWith(`: ${adapter}`)) return gpu;
  }
  throw new Error(`no WebGPU instance was made for ${adapter}`);
}

/** A device of the instance that this engine runs on. @param {string} name the adapter's */
export const ownDevice = (name) => deviceOf(ownGpu(name));

/**
 * With every limit it offers.
 *
 * @param {GPU} gpu
 * @returns {Promise<{ device: GPUDevice, info: GPUAdapterInfo }>}
 */
export async function deviceOf(gpu) {
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
  if (isBrowser) return promise;
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
