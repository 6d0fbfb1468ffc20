import { describe, expect, it } from 'vitest';
import { Device, PaellaError, type Tensor, ops } from '../src/index.js';

const lost = { name: 'PaellaError', code: 'device-lost' };

/** A chain of products, some of them queued and some not yet. */
function chain(x: Tensor): Tensor {
  let y = x;
  for (let i = 0; i < 100; i++) y = y.matmul(x).mul(0.5);
  return y;
}

/** What may be waiting when a device goes. */
const waits: [string, (device: Device, x: Tensor) => Promise<unknown>][] = [
  ['a read', (_, x) => chain(x).data()],
  ['a flush', (device, x) => (chain(x), device.flush())],
  ['synchronize', (device, x) => (chain(x), device.synchronize())],
  ['a warm-up', (device, x) => device.warmUp(() => void ops.softmax(x.matmul(x)))],
  [
    'profile',
    (device, x) =>
      device.info.features.includes('timestamp-query')
        ? device.profile(async () => void chain(x))
        : chain(x).data(),
  ],
];

describe('a device that is lost', () => {
  it.each(waits)('fails what waits for it: %s', async (_, begin) => {
    const device = await Device.create();
    const x = device.full([128, 128], 0.01);
    await x.data();
    const waiting = begin(device, x);
    queueMicrotask(() => {
      device.destroy();
    });
    await expect(waiting).rejects.toMatchObject(lost);
  });

  it('fails all that comes after, at once, and tells whoever listens', async () => {
    const device = await Device.create();
    const x = device.ones([4, 4]);
    device.destroy();
    const error = await device.lost;
    expect(error).toBeInstanceOf(PaellaError);
    expect(error).toMatchObject({ ...lost, fix: 'Create a new Device and load the model again.' });
    expect(() => device.ones([4])).toThrow(error);
    expect(() => device.tensor([4])).toThrow(error);
    for (const [, begin] of waits) {
      await expect((async () => begin(device, x))()).rejects.toBe(error);
    }
    const throwing = device.warmUp(() => {
      x.add(1);
      device.tensor([4]);
    });
    await expect(throwing).rejects.toBe(error);
    const rehearsal = device.rehearsal();
    rehearsal.ones([4]).add(1); // compiles nothing any more, and throws nowhere
    x.dispose();
  });

  it('is lost once, and a new one works', async () => {
    const device = await Device.create();
    const first = device.lost;
    device.destroy();
    device.destroy();
    expect(await device.lost).toBe(await first);
    using again = await Device.create();
    expect(Array.from(await again.ones([2]).add(1).data())).toEqual([2, 2]);
  });

  it('cannot happen to the meta device', async () => {
    const meta = await Device.create({ adapter: 'meta' });
    meta.destroy();
    const later = new Promise((resolve) => setTimeout(() => resolve('not lost'), 20));
    expect(await Promise.race([meta.lost, later])).toBe('not lost');
  });
});
