/** What the tests of every op share: a device, golden data, references in float64, error measures. */
import type { AttentionOptions } from '../src/ops/attention.js';
import { type TeamForce, hasEqualSubgroups } from '@paella/kernels';
import { expect, type TestContext } from 'vitest';
import { readFixture } from '../../../test/fixtures.js';
import { Device } from '../src/device/device.js';
import { sizeOf } from '../src/dtype.js';
import { PaellaError } from '../src/errors.js';
import type { Tensor } from '../src/tensor.js';

let device: Promise<Device> | undefined;

/** The one device of the process (in a browser, of the page). `PAELLA_ADAPTER` chooses it in Node. */
export function testDevice(): Promise<Device> {
  device ??= Device.create();
  return device;
}

/** A device of its own that planners take for a GPU: what they would choose there runs here. For the caller to destroy. */
export async function pretendedGpu(): Promise<Device> {
  const gpu = await Device.create();
  Object.assign(gpu.capabilities, { isSoftware: false });
  return gpu;
}

/** Every way to compute the rows of a normalisation, a softmax or a sum that `on` has; undefined is the planner's. */
export function teamForces(on: Device): (TeamForce | undefined)[] {
  const forces: (TeamForce | undefined)[] = [undefined, 'naive', 'team'];
  if (on.capabilities.subgroups) forces.push('subgroups');
  if (hasEqualSubgroups(on.capabilities)) forces.push('oneSubgroup');
  return forces;
}

type AttentionForce = NonNullable<AttentionOptions['force']>;

/** An adapter's variants of attention, for heads of whole vec4s: those that compile in no time, or all. */
export function attentionForces(on: Device, { thorough = true } = {}): AttentionForce[] {
  const forces: AttentionForce[] = ['simple', 'naive'];
  if (thorough) forces.push('blocks');
  if (thorough && hasEqualSubgroups(on.capabilities)) forces.push('subgroup');
  return forces;
}

/** Numbers on the host, with their shape, row-major. */
export interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Float64Array;
}

/** A file of golden data. */
export interface Golden {
  /** Throws for a name that the file does not hold. */
  get(name: string): Values;
  has(name: string): boolean;
}

/** Reads `test/golden/<name>.safetensors` of this package: f32 and i32 entries, in PyTorch's layouts. */
export async function golden(name: string): Promise<Golden> {
  const bytes = await readFixture(`packages/tensor/test/golden/${name}.safetensors`);
  const headerLength = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, headerLength))) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return {
    has: (key) => key in header,
    get(key) {
      const entry = header[key];
      if (!entry) throw new Error(`${name}.safetensors has no ${key}`);
      const [start, end] = entry.data_offsets.map((offset) => offset + 8 + headerLength);
      const slice = bytes.slice(start, end);
      return {
        shape: entry.shape,
        data: entry.dtype === 'I32' ? new Int32Array(slice) : new Float32Array(slice),
      };
    },
  };
}

/** A tensor of `values`; i32 if they are integers, f32 otherwise. */
export function upload(on: Device, values: Values): Tensor {
  const data = values.data instanceof Float64Array ? new Float32Array(values.data) : values.data;
  return on.tensor(data, values.shape);
}

/** {@link upload}, as a leaf that requires a gradient. */
export function leafOf(on: Device, values: Values): Tensor {
  const tensor = upload(on, values);
  tensor.requiresGrad = true;
  return tensor;
}

// Axes that turn PyTorch's layouts into the engine's, for `permuted`.
export const NCHW_TO_NHWC = [0, 2, 3, 1];
/** Convolution weights. */
export const OIHW_TO_HWIO = [2, 3, 1, 0];
/** Transposed-convolution weights. */
export const IOHW_TO_HWIO = [2, 3, 0, 1];
/** Linear weights: `[out,in]` to `[in,out]`. */
export const TRANSPOSED = [1, 0];

/** A copy whose dimension i is dimension `axes[i]` of `values`. */
export function permuted(values: Values, axes: readonly number[]): Values {
  const { shape, data } = values;
  const strides = shape.map((_, i) => sizeOf(shape.slice(i + 1)));
  const outShape = axes.map((axis) => shape[axis]);
  const out = data.slice();
  const at = new Array<number>(axes.length).fill(0);
  for (let i = 0; i < out.length; i++) {
    out[i] = data[axes.reduce((sum, axis, d) => sum + at[d] * strides[axis], 0)];
    for (let d = axes.length - 1; d >= 0 && ++at[d] === outShape[d]; d--) at[d] = 0;
  }
  return { shape: outShape, data: out };
}

/** Reproducible numbers, uniform in ±scale. */
export function noise(shape: readonly number[], seed: number, scale = 1): Values & { data: Float32Array } {
  let state = seed >>> 0;
  const data = new Float32Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) {
    // Mulberry32.
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    data[i] = (((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1) * scale;
  }
  return { shape, data };
}

/** `‖out − reference‖ / ‖reference‖`; Infinity if lengths differ or a value is not finite. */
export function relativeError(out: ArrayLike<number>, reference: ArrayLike<number>): number {
  if (out.length !== reference.length) return Infinity;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < out.length; i++) {
    difference += (out[i] - reference[i]) ** 2;
    norm += reference[i] ** 2;
  }
  const error = Math.sqrt(difference / (norm || 1));
  return Number.isFinite(error) ? error : Infinity;
}

/**
 * Expects a tensor to have a shape and values, up to a relative error (see {@link relativeError}). With a test
 * context the error is noted on the test: `vitest run --reporter=verbose` lists them.
 */
export async function expectClose(
  out: Tensor,
  reference: Values,
  { tolerance = 1e-4, context }: { tolerance?: number; context?: TestContext } = {},
): Promise<void> {
  expect(out.shape).toEqual(reference.shape);
  const error = relativeError(await out.data(), reference.data);
  await context?.annotate(`relative error ${error.toExponential(1)}`);
  expect(error).toBeLessThan(tolerance);
}

/** Expects a tensor to have a shape and exactly these values. */
export async function expectSame(out: Tensor, reference: Values): Promise<void> {
  expect(out.shape).toEqual(reference.shape);
  expect(await out.data()).toEqual(reference.data);
}

/** Expects `fn` to throw a PaellaError of a code, with a message that holds `text`. */
export function expectError(fn: () => unknown, code: PaellaError['code'], text: string | RegExp): void {
  let error: unknown;
  try {
    fn();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(PaellaError);
  expect((error as PaellaError).code).toBe(code);
  expect((error as PaellaError).message).toMatch(text);
}
