/** What the model tests share: a device, golden data, and the distance between two results. */
import { type Device, type DeviceInfo, type StateDict, type Tensor, loadStateDict } from '@paella/tensor';
import { expect } from 'vitest';
import { readFixture } from '../../../test/fixtures.js';
import { relativeError, testDevice } from '../../tensor/test/helpers.js';

export { testDevice };

const fixture = (name: string): Promise<ArrayBuffer> => readFixture(`packages/paella/test/golden/${name}`);

/** A checkpoint or a golden file of this package. */
export const checkpoint = async (name: string): Promise<StateDict> => loadStateDict(await fixture(name));

export const text = async (name: string): Promise<string> => new TextDecoder().decode(await fixture(name));

export const json = async <T>(name: string): Promise<T> => JSON.parse(await text(name)) as T;

/** The part of a file whose keys begin with `prefix`, without it. */
export const sub = (state: StateDict, prefix: string): StateDict => ({
  keys: () => state.keys().flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : [])),
  info: (key) => state.info(prefix + key),
  get: (key) => state.get(prefix + key),
});

/** An entry as floats. */
export async function floats(state: StateDict, key: string): Promise<Float32Array<ArrayBuffer>> {
  return Float32Array.from((await state.get(key)).data as Float32Array);
}

/** A golden input on the device: f32, or u32 for indices. */
export async function input(on: Device, state: StateDict, key: string): Promise<Tensor> {
  const { data, shape } = await state.get(key);
  if (data instanceof Int32Array) return on.tensor(Uint32Array.from(data), shape);
  return on.tensor(data as Float32Array, shape);
}

/** A golden image on the device: NCHW there, NHWC here. */
export async function imageInput(on: Device, state: StateDict, key: string): Promise<Tensor> {
  return (await input(on, state, key)).permute([0, 2, 3, 1]);
}

/** `‖actual − golden‖ / ‖golden‖` must be at most 1e-4, and is printed. */
export async function expectGolden(actual: Tensor, state: StateDict, key: string): Promise<void> {
  const { shape } = state.info(key);
  const expected = await floats(state, key);
  const given = shape.length === 4 ? actual.permute([0, 3, 1, 2]) : actual;
  expect(given.shape, key).toEqual(shape);
  const relative = relativeError(await given.data(), expected);
  console.log(`${key}: relative error ${relative.toExponential(1)}`);
  expect(relative, key).toBeLessThan(1e-4);
}

/** A software adapter with nothing that WebGPU does not guarantee, for meta devices: what they count is the same everywhere. */
export const plainAdapter = (limits: { buffer: number; binding: number }): DeviceInfo => ({
  name: 'plain',
  vendor: '',
  architecture: '',
  isSoftware: true,
  subgroupSize: 0,
  matrixSubgroup: 0,
  features: [],
  limits: {
    maxBufferSize: limits.buffer,
    maxStorageBufferBindingSize: limits.binding,
    maxComputeWorkgroupsPerDimension: 65535,
  },
});
