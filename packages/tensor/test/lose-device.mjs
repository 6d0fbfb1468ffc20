/**
 * Loaded before the command (`node --import`): takes the device away from one process some time after it got it, as a
 * driver that crashes does. `LOSE_DEVICE` is its rank and the milliseconds.
 */
import { globals } from 'webgpu';

const [rank, milliseconds] = (process.env.LOSE_DEVICE ?? '').split(' ');
const adapters = globals.GPUAdapter.prototype;
const request = adapters.requestDevice;
adapters.requestDevice = async function (...args) {
  const device = await request.apply(this, args);
  if (process.env.OMPI_COMM_WORLD_RANK === rank)
    setTimeout(() => device.destroy(), Number(milliseconds)).unref();
  return device;
};
