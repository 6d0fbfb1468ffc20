/**
 * What train.mjs compares: an engine with one case's model in it, at its initial weights.
 *
 * @typedef {object} Contender
 * @property {string} name the engine and its version
 * @property {string} device what it computes on
 * @property {(count: number) => Promise<Steps>} steps takes training steps; a step ends when its loss, read after
 *   the weights were updated, is on the host
 * @property {() => Record<string, number>} memory peaks in MiB, named
 * @property {() => void} close
 *
 * @typedef {object} Steps one number a step
 * @property {number[]} losses
 * @property {number[]} ms
 * @property {number[]} cpuMs the processor's time, of all cores together
 *
 * @typedef {{ shape: readonly number[], data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> }} Values
 *
 * @typedef {object} Case what a step starts from
 * @property {Record<string, unknown>} options of PyTorch's script
 * @property {Record<string, Values>} weights under their PyTorch names, in PyTorch's shapes
 * @property {Record<string, Values>} inputs
 */

/**
 * Times steps of an engine that runs in this process.
 *
 * @param {number} count
 * @param {() => Promise<number>} step gives its loss
 * @returns {Promise<Steps>}
 */
export async function timed(count, step) {
  /** @type {Steps} */
  const taken = { losses: [], ms: [], cpuMs: [] };
  for (let i = 0; i < count; i++) {
    const [start, cpuStart] = [performance.now(), process.cpuUsage()];
    taken.losses.push(await step());
    taken.ms.push(performance.now() - start);
    const { user, system } = process.cpuUsage(cpuStart);
    taken.cpuMs.push((user + system) / 1000);
  }
  return taken;
}

/**
 * Makes this process look like a page with WebGPU, to engines that know WebGPU in browsers only. They get the
 * entry through which @paella/tensor opened the adapter, so that all compute on the same one; it keeps those on
 * globalThis, by driver and name of the adapter.
 *
 * @param {string} adapter its name
 * @returns {GPU}
 */
export function pretendBrowser(adapter) {
  const instances = Reflect.get(globalThis, Symbol.for('paella.dawn-instances'));
  for (const [key, gpu] of /** @type {Map<string, GPU>} */ (instances)) {
    if (!key.endsWith(`: ${adapter}`)) continue;
    const navigator = { gpu, userAgent: 'Node', hardwareConcurrency: 1 };
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
    return gpu;
  }
  throw new Error(`no WebGPU instance was made for ${adapter}`);
}

/**
 * Counts the buffers of a device from now on.
 *
 * @param {GPUDevice} device
 * @returns {() => number} the most MiB that they held together
 */
export function countBuffers(device) {
  let [live, peak] = [0, 0];
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    let size = descriptor.size;
    live += size;
    peak = Math.max(peak, live);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      live -= size;
      size = 0; // it may be called again
      return destroy();
    };
    return buffer;
  };
  return () => peak / 2 ** 20;
}
