import { defineKernel, launch } from '@paella/kernels';
import { describe, expect, it } from 'vitest';
import { Device, Rng, type Tensor, nn, ops, scope } from '../src/index.js';
import { testDevice } from './helpers.js';

/** Some work with reuse in it: a small network applied a few times. */
function work(device: Device, steps = 3, given?: nn.Linear): Tensor {
  return scope(() => {
    const rng = new Rng(1);
    const layer = given ?? new nn.Linear(32, 32, { device, rng });
    let x = rng.normal(device, [24, 32]);
    for (let i = 0; i < steps; i++) {
      x = scope(() => ops.layerNorm(layer.forward(x, { activation: 'gelu' }).add(x).mul(0.5)));
    }
    if (!given) layer.dispose();
    return x;
  });
}

describe('scope', () => {
  it('frees what is made inside, except what is returned', async () => {
    const device = await testDevice();
    work(device).dispose(); // the operand that stands for absent ones is made now
    const before = device.memory();
    const kept = scope(() => {
      const a = device.ones([64]);
      const b = a.add(1);
      return { list: [b.mul(2)], name: 'kept' };
    });
    expect(device.memory().liveTensors).toBe(before.liveTensors + 1);
    expect(Array.from(await kept.list[0].data())).toEqual(new Array(64).fill(4));
    kept.list[0].dispose();
    kept.list[0].dispose(); // safe to repeat
    const { liveTensors, liveBytes } = device.memory();
    expect({ liveTensors, liveBytes }).toEqual({
      liveTensors: before.liveTensors,
      liveBytes: before.liveBytes,
    });
  });

  it('frees everything when it throws, and passes what it returns to the scope around it', async () => {
    const device = await testDevice();
    const { liveTensors } = device.memory();
    const failing = () =>
      scope(() => {
        device.ones([4]);
        throw new Error('inside');
      });
    expect(failing).toThrow('inside');
    await expect(
      scope(async () => {
        await device.ones([4]).data();
        throw new Error('later');
      }),
    ).rejects.toThrow('later');
    scope(() => void scope(() => device.ones([4])));
    expect(device.memory().liveTensors).toBe(liveTensors);
  });

  it('keeps a buffer while a reshape of it lives', async () => {
    const device = await testDevice();
    const row = scope(() => device.arange(0, 6).reshape([2, 3]));
    expect(Array.from(await row.data())).toEqual([0, 1, 2, 3, 4, 5]);
    row.dispose();
    expect(() => row.add(1)).toThrow(expect.objectContaining({ code: 'disposed' }));
  });

  it('refuses async scopes that overlap', async () => {
    const device = await testDevice();
    const { liveTensors } = device.memory();
    let open!: () => void;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const first = scope(async () => {
      device.ones([8]);
      await gate;
    });
    const second = scope(async () => {
      await device.ones([1]).data();
      open();
      await first.catch(() => {});
    });
    await expect(first).rejects.toMatchObject({ code: 'scope' });
    await expect(second).resolves.toBeUndefined();
    // Nothing is left of either, and no dead scope takes in what comes after.
    expect(device.memory().liveTensors).toBe(liveTensors);
    using after = device.ones([2]);
    scope(() => device.ones([2]).dispose());
    expect(after.isDisposed).toBe(false);
    expect(device.memory().liveTensors).toBe(liveTensors + 1);
  });
});

describe('Device', () => {
  it('computes on the meta device what a real one will use', async () => {
    const real = await Device.create();
    const meta = await Device.create({ adapter: 'meta', like: real.info });
    for (const device of [real, meta]) {
      const rng = new Rng(1);
      const layer = new nn.Linear(32, 32, { device, rng });
      device.trim();
      device.resetPeak();
      device.resetStats();
      work(device, 3, layer).dispose();
      await device.synchronize();
    }
    const { submits, bindGroupsCreated, ...counted } = real.stats();
    expect(submits).toBeGreaterThan(0);
    expect(bindGroupsCreated).toBeGreaterThan(0);
    expect(meta.stats()).toMatchObject(counted);
    expect(meta.memory()).toEqual(real.memory());
    expect(counted.flops).toBeGreaterThan(3 * 2 * 24 * 32 * 32);
    await expect(meta.ones([2]).data()).rejects.toThrow(/a shape but no values/);
    real.destroy();
  });

  it('reuses buffers: repeated work allocates nothing', async () => {
    const device = await testDevice();
    work(device).dispose();
    const { buffersCreated } = device.stats();
    for (let i = 0; i < 3; i++) work(device).dispose();
    expect(device.stats().buffersCreated).toBe(buffersCreated);
  });

  it('lets a larger free buffer serve a request, but none that stays for good', async () => {
    const device = await Device.create({ adapter: 'meta' });
    device.empty([1024]).dispose();
    using small = device.empty([200]);
    expect(device.stats().buffersCreated).toBe(1);
    expect(device.memory()).toMatchObject({ liveBytes: 4096, pooledBytes: 0, peakBytes: 4096 });
    small.dispose();
    using tiny = device.empty([4]);
    using exact = device.forGood(() => device.empty([200]));
    expect(device.stats().buffersCreated).toBe(3);
    expect(device.memory()).toMatchObject({ liveBytes: 16 + 800, pooledBytes: 4096 });
    device.resetPeak();
    expect(device.memory().peakLiveBytes).toBe(tiny.bytes + exact.bytes);
  });

  it('gives equal results however the work is cut into submits', async () => {
    const device = await testDevice();
    const whole = work(device, 40);
    const pieces = await scope(async () => {
      const rng = new Rng(1);
      const layer = new nn.Linear(32, 32, { device, rng });
      let x = rng.normal(device, [24, 32]);
      for (let i = 0; i < 40; i++) {
        x = scope(() => ops.layerNorm(layer.forward(x, { activation: 'gelu' }).add(x).mul(0.5)));
        if (i % 7 === 0) await device.flush();
        if (i % 11 === 0) await x.data();
      }
      layer.dispose();
      return x;
    });
    expect(await pieces.data()).toEqual(await whole.data());
    whole.dispose();
    pieces.dispose();
  });

  it('keeps uploads and dispatches in the order in which they were made', async () => {
    const device = await testDevice();
    const results = scope(() => {
      const parts: Tensor[] = [];
      for (let i = 0; i < 20; i++) {
        // Each upload takes the buffer that the last one's tensor gave back.
        using value = device.full([16], i).keep();
        parts.push(value.add(100));
      }
      return ops.cat(parts, 0);
    });
    const values = await results.data();
    for (let i = 0; i < 20; i++) expect(values[i * 16]).toBe(100 + i);
    results.dispose();
  });

  it('warms pipelines up without running them', async () => {
    const device = await Device.create();
    const progress: number[] = [];
    await device.warmUp(
      () => work(device, 1).dispose(),
      (done, total) => progress.push(done / total),
    );
    const { pipelines, dispatches } = device.stats();
    expect(dispatches).toBe(0);
    expect(progress.at(-1)).toBe(1);
    work(device, 1).dispose();
    expect(device.stats().pipelines).toBe(pipelines);
    device.destroy();
  });

  it('compiles what a rehearsal runs, and runs nothing', async () => {
    const device = await Device.create();
    work(device.rehearsal(), 1).dispose();
    const { pipelines, dispatches, buffersCreated } = device.stats();
    expect(pipelines).toBeGreaterThan(0);
    expect({ dispatches, buffersCreated }).toEqual({ dispatches: 0, buffersCreated: 0 });
    work(device, 1).dispose();
    expect(device.stats().pipelines).toBe(pipelines);
    device.destroy();
  });

  it('measures kernels where the adapter has timestamps', async () => {
    const device = await testDevice();
    if (!device.info.features.includes('timestamp-query')) {
      await expect(device.profile(async () => {})).rejects.toMatchObject({ code: 'unsupported' });
      return;
    }
    const rows = await device.profile(async () => work(device).dispose());
    const matmul = rows.find(({ kernel }) => kernel.startsWith('matmul'));
    expect(matmul).toMatchObject({ calls: 3, flops: 3 * 2 * 24 * 32 * 32 });
    expect(matmul!.milliseconds).toBeGreaterThanOrEqual(0);
  });

  it('reports a tensor that is larger than a buffer may be', async () => {
    const device = await testDevice();
    const limit = device.info.limits.maxStorageBufferBindingSize;
    expect(() => device.empty([limit / 4 + 1])).toThrow(/needs .* MiB, .* allows .* MiB a buffer/);
  });

  it('refuses a model that the adapter cannot hold, before loading any of it', async () => {
    const small = await Device.create({ baseline: true });
    const width = 2 ** 13;
    const layer = new nn.Linear(width, width / 2 + 8, { device: small });
    const state = {
      keys: () => ['weight', 'bias'],
      info: (key: string) => ({
        shape: key === 'bias' ? [width / 2 + 8] : [width / 2 + 8, width],
        dtype: 'f32' as const,
      }),
      get: () => Promise.reject(new Error('nothing should be read')),
    };
    await expect(layer.loadStateDict(state)).rejects.toThrow(/weight needs 129 MiB, .* allows 128 MiB/);
    expect(small.stats().buffersCreated).toBe(0);
    small.destroy();
  });

  it('names the kernel that does not compile, and gives no result after it', async () => {
    const device = await Device.create();
    const broken = defineKernel(
      'broken',
      '@group(0) @binding(0) var<storage, read_write> out: array<f32>;',
      '@compute @workgroup_size(1) fn main() { out[0] = nonsense; }',
    );
    const x = device.ones([4]);
    device.run(launch(broken, { workgroups: [1, 1, 1], cost: { flops: 0, bytes: 0 } }), [x]);
    await expect(x.data()).rejects.toMatchObject({ code: 'validation' });
    await expect(x.data()).rejects.toThrow(/kernel broken\(\) does not compile: .*nonsense/s);
    device.destroy();
  });

  it('names the operands of a shape error', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const x = device.empty([1, 16, 16, 32]);
    expect(() => ops.linear(x, device.empty([64, 8]))).toThrow(
      'linear: expects [...,k] × [k,n] — input [1,16,16,32], weight [64,8]',
    );
    expect(() => x.add(device.empty([5]))).toThrow(
      /add: the shapes do not broadcast — a \[1,16,16,32\], b \[5\]/,
    );
    expect(() => x.add(device.empty([32], 'u32'))).toThrow(/must be f32, got u32 \[32\]/);
    await expect(x.item()).rejects.toThrow(/one element/);
    const other = await Device.create({ adapter: 'meta' });
    expect(() => x.add(other.empty([32]))).toThrow(/belongs to another device/);
  });
});
