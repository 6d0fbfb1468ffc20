/**
 * Loaded before a program (`node --import`): takes the device away from one process, as a driver that crashes does.
 * `LOSE_DEVICE` is its rank and the file that tells when, by being there.
 */
import { existsSync } from 'node:fs';
import { globals } from 'webgpu';

const [rank, file] = (process.env.LOSE_DEVICE ?? '').split(' ');
const adapters = globals.GPUAdapter.prototype;
const request = adapters.requestDevice;
adapters.requestDevice = async function (...args) {
  const device = await request.apply(this, args);
  if (process.env.OMPI_COMM_WORLD_RANK !== rank) return device;
  const timer = setInterval(() => {
    if (!existsSync(file)) return;
    clearInterval(timer);
    device.destroy();
  }, 50).unref();
  return device;
};
