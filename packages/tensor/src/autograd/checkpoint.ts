import type { Rng } from '../random/rng.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { backward } from './backward.js';
import { GraphNode } from './graph.js';
import { isGradEnabled, noGrad, withGrad } from './mode.js';

/**
 * Runs `fn` without keeping what its backward pass needs, and runs it again when that pass comes (gradient
 * checkpointing, arXiv 1604.06174): a forward pass more for the memory of `fn`'s activations.
 *
 * `fn` must compute the same both times. It may use leaves that are not among its inputs, such as parameters; they
 * get their gradients from `backward()`, not from `grad()`.
 *
 * @param inputs what gradients flow to; `fn` gets them in this order
 * @param options.rng the generator that `fn` draws from, whose draws are repeated
 */
export function checkpoint(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  { rng }: { rng?: Rng } = {},
): Tensor {
  if (!isGradEnabled()) return fn(...inputs);
  const counter = rng?.counter ?? 0;
  const out = noGrad(() => scope(() => fn(...inputs)));
  const node = new GraphNode('checkpoint', inputs, inputs, (grad, saved, needs) => {
    const after = rng?.counter ?? 0;
    if (rng) rng.counter = counter;
    const again = saved.map((tensor, i) => {
      const leaf = tensor.detach();
      leaf.requiresGrad = needs[i];
      return leaf;
    });
    withGrad(() => {
      const result = fn(...again);
      if (result.requiresGrad) backward(result, grad);
    });
    if (rng) rng.counter = after;
    return again.map(({ grad: own }) => own?.detach() ?? null);
  });
  out.attach(node);
  return out;
}
