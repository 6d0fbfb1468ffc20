/**
 * onnxruntime on its WebGPU provider. It brings a Dawn of its own, which runs beside this engine's in one process, on
 * the same Vulkan driver. Graphs are optimised as far as it can; inputs and outputs stay on the device.
 *
 * Its fused attention gives wrong numbers where subgroups have 4 or 8 lanes and there are many queries (1.30.0, on
 * lavapipe and SwiftShader). So each shape of attention is tried first, and composed of products and a softmax where
 * the fused one is wrong.
 */
import { uniform } from '../cases/case.mjs';
import { DRIVERS, driverThreads, setEnvironment } from './vulkan.mjs';
import { attentionIn, buildModel, describe, identityModel } from './onnx/graph.mjs';

/** @typedef {import('onnxruntime-node').Tensor} Tensor */
/** @typedef {import('./engine.mjs').Build} Build */
/** @typedef {import('./engine.mjs').Compiled} Compiled */
/** @typedef {import('./engine.mjs').Values} Values */
/** @typedef {import('./onnx/graph.mjs').Attention} Attention */

/**
 * @param {string} adapterName of this engine's device, which must be open
 * @returns {Promise<import('./engine.mjs').Peer>}
 * @throws if the package is not installed, or computes on another adapter
 */
export async function open(adapterName) {
  const { default: ort } = await import('onnxruntime-node');
  const driver = DRIVERS.find(({ name }) => name.test(adapterName));
  const before = driverThreads();
  const manifest = driver?.manifest();
  if (driver && !manifest) throw new Error(`found no Vulkan manifest for ${adapterName}`);

  /** @param {Uint8Array} model @param {'gpu-buffer' | 'cpu'} location of the outputs */
  const session = (model, location) =>
    ort.InferenceSession.create(model, {
      executionProviders: [{ name: 'webgpu' }],
      graphOptimizationLevel: 'all',
      preferredOutputLocation: location,
      logSeverityLevel: 3,
      // A graph of which a part would run on the processor is refused.
      extra: { 'session.disable_cpu_ep_fallback': '1' },
    });
  /** @param {Values} values */
  const hostTensor = ({ shape, data }) =>
    data instanceof Float32Array
      ? new ort.Tensor('float32', data, shape)
      : new ort.Tensor('int32', Int32Array.from(data), shape);

  /** @param {readonly Tensor[]} tensors */
  const feeds = (tensors) => Object.fromEntries(tensors.map((tensor, i) => [`in${i}`, tensor]));

  const nothing = { shape: [1], data: new Float32Array(1) };
  // The Vulkan loader reads this when the first session makes an instance.
  const restore = setEnvironment(manifest ? { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest } : {});
  const barrier = await session(identityModel([describe(nothing)]), 'cpu').finally(restore);
  const fed = feeds([hostTensor(nothing)]);
  /** The queue runs in order: a result that is on the host now comes after all that was run before. */
  const finish = async () => void (await barrier.run(fed));
  await finish();
  const others = DRIVERS.filter((one) => one !== driver && driverThreads()(one) > before(one));
  if (others.length > 0 || (driver && driverThreads()(driver) === 0)) {
    throw new Error(`onnxruntime does not compute on ${adapterName}`);
  }

  /**
   * @param {Build} build @param {readonly Values[]} inputs @param {(attention: Attention) => boolean} isFused
   * @returns {Promise<Compiled>}
   */
  const openModel = async (build, inputs, isFused) => {
    const described = inputs.map(describe);
    const model = buildModel(build, described, isFused);
    const compute = await session(model.bytes, 'gpu-buffer');
    const upload = await session(identityModel(described), 'gpu-buffer');
    const download = await session(identityModel([model.out]), 'cpu');
    const uploaded = Object.values(await upload.run(feeds(inputs.map(hostTensor))));
    const given = feeds(uploaded);
    /** @type {Tensor | undefined} */
    let last;
    return {
      async run() {
        last?.dispose();
        last = (await compute.run(given)).out0;
      },
      finish,
      async read() {
        if (!last) throw new Error('nothing was run');
        const { data } = (await download.run(feeds([last]))).out0;
        return Float32Array.from(/** @type {ArrayLike<number>} */ (data), Number);
      },
      close() {
        for (const tensor of [...(last ? [last] : []), ...uploaded]) tensor.dispose();
        for (const one of [compute, upload, download]) void one.release();
      },
    };
  };

  /** Whether the fused attention is right, by shapes. @type {Map<string, boolean>} */
  const fused = new Map();
  /** @param {Attention} attention */
  const tryFused = async ({ queries, keys, heads }) => {
    const operands = [queries, keys, keys].map((shape, i) => uniform(shape, { seed: i, bound: 2 }));
    const [right, given] = await Promise.all(
      [false, true].map(async (isFused) => {
        const one = await openModel(
          (engine, [q, k, v]) => engine.attention(q, k, v, heads),
          operands,
          () => isFused,
        );
        await one.run();
        const numbers = await one.read();
        one.close();
        return numbers;
      }),
    );
    return right.every((value, i) => Math.abs(value - given[i]) < 1e-4);
  };

  return {
    name: 'onnxruntime',
    version: ort.env.versions.node ?? '',
    device: adapterName,
    async compile(build, inputs) {
      const keyOf = (/** @type {Attention} */ attention) => JSON.stringify(attention);
      for (const attention of attentionIn(build, inputs.map(describe))) {
        if (!fused.has(keyOf(attention))) fused.set(keyOf(attention), await tryFused(attention));
      }
      return openModel(build, inputs, (attention) => fused.get(keyOf(attention)) === true);
    },
    close: () => barrier.release(),
  };
}
