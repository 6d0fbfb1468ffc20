import { choose, defineKernel, launch } from '@paella/kernels';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Device, scope } from '../src/index.js';

const { PAELLA_CACHE: before } = process.env;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'paella-tuner-'));
  process.env.PAELLA_CACHE = folder;
});

afterAll(() => {
  if (before === undefined) delete process.env.PAELLA_CACHE;
  else process.env.PAELLA_CACHE = before;
  rmSync(folder, { recursive: true });
});

/** Two kernels that write 7, one with a detour. */
const variants = {
  slow: defineKernel(
    'slow',
    `@group(0) @binding(0) var<storage, read_write> out: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      var x = f32(id.x);
      for (var i = 0u; i < 20000u; i++) { x = fract(x * 1.7 + 0.3); }
      out[id.x] = 7 + select(0.0, 1.0, x > 2);
    }`,
  ),
  fast: defineKernel(
    'fast',
    `@group(0) @binding(0) var<storage, read_write> out: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { out[id.x] = 7; }`,
  ),
};

const pick = ({ capabilities }: Device) => choose(capabilities, 'test', [1024], ['slow', 'fast'] as const);

async function sevens(device: Device): Promise<void> {
  await scope(async () => {
    const out = device.empty([1024]);
    const kernel = variants[pick(device)];
    device.run(launch(kernel, { workgroups: [16, 1, 1], cost: { flops: 0, bytes: 0 } }), [out]);
    expect(await out.data()).toEqual(new Float32Array(1024).fill(7));
  });
}

describe('device.tune', () => {
  it('takes the fastest variant, on this device, its rehearsals and later devices', async (context) => {
    const device = await Device.create();
    if (!device.info.features.includes('timestamp-query')) context.skip();
    expect(pick(device)).toBe('slow');
    const progress: number[] = [];
    const results = await device.tune(() => sevens(device), {
      onProgress: (done, total) => progress.push(done / total),
    });
    expect(results).toMatchObject([{ key: 'test 1024', choice: 'fast' }]);
    expect(results[0].milliseconds['slow']).toBeGreaterThan(results[0].milliseconds['fast']);
    expect(progress.at(-1)).toBe(1);
    expect(pick(device)).toBe('fast');
    expect(pick(device.rehearsal())).toBe('fast');
    await sevens(device);
    device.destroy();

    expect(readdirSync(folder).filter((name) => name.startsWith('tuning-'))).toHaveLength(1);
    const later = await Device.create();
    expect(pick(later)).toBe('fast');
    later.destroy();
    const untuned = await Device.create({ tuned: false });
    expect(pick(untuned)).toBe('slow');
    untuned.destroy();
  });
});
