/**
 * What the adapter can do at most, measured on a device of its own beside the engines: a case's speed is shown as a
 * share of it.
 */
import { ownDevice, settled } from './gpu.mjs';

/** @typedef {import('./schema.mjs').Results['ceilings']} Ceilings */

const MIB = 2 ** 20;
const REPEATS = 4;
/** A measurement is made at least this long, in ms, by running the kernel more often. */
const LONG_ENOUGH = 40;

/**
 * @param {string} adapter its name
 * @param {{ fma: string, copy: string }} wgsl the texts of wgsl/fma.wgsl and wgsl/copy.wgsl
 * @param {{ bytes?: number, rounds?: number }} [options] how large a buffer is copied, beyond all caches, and how often
 *   a thread goes through its chains
 * @returns {Promise<Ceilings>} the best of several kernels and repeats; bytes read and written both count
 */
export async function measureCeilings(adapter, wgsl, { bytes = 64 * MIB, rounds = 64 } = {}) {
  const { device } = await ownDevice(adapter);
  try {
    return {
      gflops: await fmaCeiling(device, wgsl.fma, rounds),
      ...(await copyCeilings(device, wgsl.copy, bytes)),
    };
  } finally {
    device.destroy();
  }
}

/** @param {GPUDevice} device @param {string} code @param {number} rounds */
async function fmaCeiling(device, code, rounds) {
  const [groups, workgroup] = [256, 64];
  const out = device.createBuffer({ size: 4 * groups * workgroup, usage: GPUBufferUsage.STORAGE });
  let best = 0;
  for (const chains of [2, 4, 8]) {
    const kernel = await compile(device, code, { WG: workgroup, CHAINS: chains, ROUNDS: rounds }, [out]);
    const flops = groups * workgroup * rounds * 16 * chains * 8;
    const ms = await fastest(device, (encoder) => kernel(encoder, groups));
    best = Math.max(best, flops / ms / 1e6);
  }
  out.destroy();
  return best;
}

/** @param {GPUDevice} device @param {string} code @param {number} bytes */
async function copyCeilings(device, code, bytes) {
  const size = Math.min(bytes, device.limits.maxStorageBufferBindingSize);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const [from, to] = [0, 1].map(() => device.createBuffer({ size, usage }));
  const command = await fastest(device, (encoder) => encoder.copyBufferToBuffer(from, 0, to, 0, size));
  const workgroup = 64;
  let kernel = Infinity;
  // 64 MiB in vec4 are more workgroups than a dimension may have, with fewer each.
  for (const [per, near] of [
    [4, 0],
    [16, 0],
    [16, 1],
    [64, 1],
  ]) {
    const copy = await compile(device, code, { WG: workgroup, PER: per, NEAR: near }, [from, to]);
    const groups = size / (16 * workgroup * per);
    kernel = Math.min(kernel, await fastest(device, (encoder) => copy(encoder, groups)));
  }
  from.destroy();
  to.destroy();
  const speed = (/** @type {number} */ ms) => (2 * size) / ms / 1e6;
  return { gbps: speed(Math.min(command, kernel)), kernelGbps: speed(kernel) };
}

/**
 * @param {GPUDevice} device @param {string} code @param {Record<string, number>} constants
 * @param {GPUBuffer[]} buffers
 * @returns {Promise<(encoder: GPUCommandEncoder, groups: number) => void>}
 */
async function compile(device, code, constants, buffers) {
  const compute = { module: device.createShaderModule({ code }), constants };
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  return (encoder, groups) => {
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(groups);
    pass.end();
  };
}

/** Milliseconds of one. @param {GPUDevice} device @param {(encoder: GPUCommandEncoder) => void} record */
async function fastest(device, record) {
  const run = async (/** @type {number} */ count) => {
    const start = performance.now();
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < count; i++) record(encoder);
    device.queue.submit([encoder.finish()]);
    await settled(device.queue.onSubmittedWorkDone());
    return (performance.now() - start) / count;
  };
  await run(1);
  const count = Math.max(1, Math.ceil(LONG_ENOUGH / (await run(1))));
  const times = [];
  for (let i = 0; i < REPEATS; i++) times.push(await run(count));
  return Math.min(...times);
}
