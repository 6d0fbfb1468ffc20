import type { Rng } from '../random/rng.js';
import type { Parameter } from './parameter.js';

/** Inputs and outputs of a weight as PyTorch counts them: `[out, in, …kernel]`. */
function fans({ shape }: Parameter): { fanIn: number; fanOut: number } {
  const field = shape.slice(2).reduce((product, length) => product * length, 1);
  return { fanIn: shape[1] * field, fanOut: shape[0] * field };
}

/** Uniform in ±bound. */
export function uniform_(parameter: Parameter, rng: Rng, bound: number): void {
  const { device, storedShape } = parameter;
  parameter.value = device.forGood(() => rng.uniform(device, storedShape, { low: -bound, high: bound }));
}

/** Normal with mean 0. */
export function normal_(parameter: Parameter, rng: Rng, std: number): void {
  const { device, storedShape } = parameter;
  parameter.value = device.forGood(() => rng.normal(device, storedShape, { std }));
}

export function constant_(parameter: Parameter, value: number): void {
  const { device, storedShape, dtype } = parameter;
  parameter.value = device.forGood(() => device.full(storedShape, value, { dtype }));
}

/** Glorot & Bengio 2010: uniform in ±gain·√(6/(fanIn + fanOut)). */
export function xavierUniform_(parameter: Parameter, rng: Rng, gain = 1): void {
  const { fanIn, fanOut } = fans(parameter);
  uniform_(parameter, rng, gain * Math.sqrt(6 / (fanIn + fanOut)));
}

/** PyTorch's default for Linear and Conv2d weights and biases: uniform in ±1/√fanIn of the weight. */
export function torchDefault_(weight: Parameter, bias: Parameter | null, rng: Rng): void {
  const bound = 1 / Math.sqrt(fans(weight).fanIn);
  uniform_(weight, rng, bound);
  if (bias) uniform_(bias, rng, bound);
}
