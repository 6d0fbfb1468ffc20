/** Opening adapters, wherever the tests run. */
import * as fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { environmentChecks, listAdapters, notice, openAdapter, setNoticeHandler } from '#platform';
import { chooseAdapters, type AdapterCandidate } from '../src/platform/gpu.js';

const inBrowser = typeof document !== 'undefined';

describe('chooseAdapters', () => {
  const swiftshader = candidate('SwiftShader Device (Subzero)', 'bundled-software');
  const lavapipe = candidate('llvmpipe (LLVM 15.0.6, 256 bits)', 'system-software');
  const nvidia = candidate('NVIDIA GeForce RTX 4070', 'gpu');
  const intel = candidate('Intel(R) Graphics (RPL-S)', 'gpu');
  const found = [swiftshader, nvidia, lavapipe, intel];

  it.each([
    ['auto', [nvidia, intel, lavapipe, swiftshader]],
    ['gpu', [nvidia, intel]],
    ['software', [lavapipe, swiftshader]],
    ['swiftshader', [swiftshader]],
    ['Lavapipe', [lavapipe]],
    ['LLVMpipe', [lavapipe]],
    ['intel', [intel]],
    ['(', [intel, lavapipe, swiftshader]],
    ['voodoo', []],
  ])('%s', (request, expected) => {
    expect(chooseAdapters(request, found)).toEqual(expected);
  });

  it('finds every adapter by any part of its name, in any case', () => {
    fc.assert(
      fc.property(fc.constantFrom(...found), fc.nat(), fc.nat(), fc.boolean(), (one, a, b, upper) => {
        const [from, to] = [a % one.name.length, b % one.name.length].sort((x, y) => x - y);
        const part = one.name.slice(from, to + 1);
        fc.pre(part.trim() !== '');
        expect(chooseAdapters(upper ? part.toUpperCase() : part, found)).toContain(one);
      }),
    );
  });
});

describe('openAdapter', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    // oxlint-disable-next-line no-console -- the default again
    setNoticeHandler((text) => console.error(text));
  });

  it('opens one adapter for each device, as many as wanted', async () => {
    setNoticeHandler(() => {});
    const first = await openAdapter('auto');
    const second = await openAdapter('auto');
    expect(second.summary).toEqual(first.summary);
    const devices = [await first.adapter.requestDevice(), await second.adapter.requestDevice()];
    for (const device of devices) expect(await double(device, [1, 2, 3])).toEqual([2, 4, 6]);
    for (const device of devices) device.destroy();

    const { name, limits, features, source } = first.summary;
    expect(name).not.toBe('');
    expect(source === 'browser').toBe(inBrowser);
    expect(features).toContain('core-features-and-limits');
    expect(limits.maxComputeInvocationsPerWorkgroup).toBeGreaterThanOrEqual(256);
    expect(limits.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(128 * 1024 * 1024);
  });

  it('opens every listed adapter by its name, and one of them for auto', async () => {
    const all = await listAdapters();
    for (const summary of all) expect((await openAdapter(summary.name)).summary).toEqual(summary);
    // A person may have set PAELLA_ADAPTER to run the tests on another one.
    setNoticeHandler(() => {});
    expect(all).toContainEqual((await openAdapter('auto')).summary);
  });

  it('says what there is when nothing fits', async () => {
    const [{ name }] = await listAdapters();
    await expect(openAdapter('voodoo 2')).rejects.toMatchObject({
      name: 'PaellaError',
      code: 'no-adapter',
      message: expect.stringContaining(name),
      fix: expect.stringContaining("'auto'"),
    });
    await expect(openAdapter(' ')).rejects.toMatchObject({ code: 'argument' });
  });

  it('shows a notice once', () => {
    const heard: string[] = [];
    setNoticeHandler((text) => heard.push(text));
    notice('a notice of this test');
    notice('a notice of this test');
    expect(heard).toEqual(['a notice of this test']);
  });

  it('checks the environment, and says what to do about all that is missing', async () => {
    const checks = await environmentChecks();
    expect(checks[0]).toMatchObject({ ok: true, name: inBrowser ? 'navigator.gpu' : 'webgpu package' });
    expect(checks.map(({ name }) => name)).toContain('shader-f16');
    expect(checks.filter(({ detail }) => detail === '')).toEqual([]);
    expect(checks.filter(({ ok, fix }) => ok && fix)).toEqual([]);
  });

  it.runIf(inBrowser)('says why a page has no WebGPU (in a browser)', async () => {
    vi.spyOn(navigator, 'gpu', 'get').mockReturnValue(undefined as unknown as GPU);
    await expect(openAdapter('auto')).rejects.toMatchObject({
      code: 'unsupported',
      fix: expect.stringContaining('Chrome'),
    });
    vi.spyOn(globalThis, 'isSecureContext', 'get').mockReturnValue(false);
    await expect(openAdapter('auto')).rejects.toMatchObject({ fix: expect.stringContaining('https') });
    expect(await environmentChecks()).toMatchObject([{ name: 'navigator.gpu', ok: false }]);
  });
});

function candidate(name: string, source: AdapterCandidate['source']): AdapterCandidate {
  return { name, source, backend: 'vulkan' };
}

/** Doubles numbers on a device: proof that it computes. */
async function double(device: GPUDevice, numbers: number[]): Promise<number[]> {
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < arrayLength(&x)) { x[id.x] *= 2.0; }
    }`;
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
  const size = numbers.length * 4;
  const x = device.createBuffer({
    size,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(x, 0, new Float32Array(numbers));
  const result = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [{ binding: 0, resource: { buffer: x } }];
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(x, 0, result, 0, size);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  const out = [...new Float32Array(result.getMappedRange())];
  result.unmap();
  return out;
}
