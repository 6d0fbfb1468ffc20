/** Finite differences: the check that needs no reference. */
import { expect } from 'vitest';
import { type Device, type Tensor, scope } from '../src/index.js';
import { type Values, noise, relativeError, upload } from './helpers.js';

/**
 * Expects the gradient of `Σ weights · fn(inputs)`, with fixed random weights, to equal central differences of forward
 * passes in f32. Integer inputs have no gradient.
 *
 * @param options.eps half the distance of the two points; large, since their values are rounded to f32
 * @param options.tolerance of ‖gradient − differences‖ / ‖differences‖, for each input
 */
export async function gradcheck(
  device: Device,
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Values[],
  { eps = 1e-2, tolerance = 1e-2 }: { eps?: number; tolerance?: number } = {},
): Promise<void> {
  const loss = async (values: readonly Values[]): Promise<number> =>
    scope(async () => {
      const out = fn(...values.map((one) => upload(device, one)));
      const weights = noise(out.shape, 99).data;
      const data = await out.data();
      return weights.reduce((sum, weight, i) => sum + weight * data[i], 0);
    });
  const gradients = await scope(async () => {
    const leaves = inputs.map((one) => {
      const leaf = upload(device, one);
      leaf.requiresGrad = leaf.dtype === 'f32';
      return leaf;
    });
    const out = fn(...leaves);
    out.backward(upload(device, noise(out.shape, 99)));
    return Promise.all(leaves.map(async (leaf) => (leaf.requiresGrad ? leaf.grad!.data() : null)));
  });
  for (const [n, { shape, data }] of inputs.entries()) {
    const gradient = gradients[n];
    if (!gradient) continue;
    const differences = new Float64Array(data.length);
    for (let i = 0; i < data.length; i++) {
      const at = async (step: number): Promise<number> => {
        const moved = data.slice();
        moved[i] += step;
        return loss(inputs.map((one, k) => (k === n ? { shape, data: moved } : one)));
      };
      differences[i] = ((await at(eps)) - (await at(-eps))) / (2 * eps);
    }
    expect(relativeError(gradient, differences), `gradient of input ${n}`).toBeLessThan(tolerance);
  }
}
