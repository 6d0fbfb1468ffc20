import { PaellaError } from '../errors.js';
import { binary } from '../ops/elementwise.js';
import { adopt, scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { GraphNode } from './graph.js';
import { noGrad } from './mode.js';

export interface BackwardOptions {
  /** Keep the graph for another backward pass. */
  retainGraph?: boolean;
}

/**
 * Adds the gradient of `output` with respect to every leaf that requires one to that leaf's `grad`.
 *
 * @param gradient of the loss with respect to `output`, of its shape; 1 by default, for an output of one element
 * @throws PaellaError `graph` if nothing requires a gradient, or the graph was freed; `shape` without a gradient
 *   for an output of several elements
 */
export function backward(output: Tensor, gradient?: Tensor, options: BackwardOptions = {}): void {
  run(output, gradient, options, null);
}

/**
 * Gradients of `output` with respect to some tensors, leaves or not, without touching any `grad`. Only what lies
 * between is computed.
 *
 * @returns one gradient an input, zero where `output` does not depend on it
 * @throws PaellaError as {@link backward}; `graph` if an input requires no gradient
 */
export function grad(
  output: Tensor,
  inputs: readonly Tensor[],
  { gradient, ...options }: BackwardOptions & { gradient?: Tensor } = {},
): Tensor[] {
  const targets = new Map<GraphNode, Tensor | null>();
  for (const input of inputs) {
    if (!input.node) {
      throw new PaellaError('graph', `grad: ${input.toString()} requires no gradient`, {
        fix: 'Set requiresGrad before the forward pass.',
      });
    }
    targets.set(input.node, null);
  }
  run(output, gradient, options, targets);
  return inputs.map((input) => {
    const found = targets.get(input.node!);
    if (!found) return input.device.zeros(input.shape);
    adopt(found);
    return found;
  });
}

/** Hears of a leaf whose gradient a backward pass has added to `grad`. */
type GradientWatcher = (leaf: Tensor) => void;
let watcher: GradientWatcher | null = null;

/** @internal Runs `fn`, and tells `watch` of each leaf when a backward pass is done with its gradient. */
export function watchGradients<T>(watch: GradientWatcher, fn: () => T): T {
  const before = watcher;
  watcher = watch;
  try {
    return fn();
  } finally {
    watcher = before;
  }
}

/** With `targets`, gradients end there instead of in the leaves. */
function run(
  output: Tensor,
  gradient: Tensor | undefined,
  { retainGraph = false }: BackwardOptions,
  targets: Map<GraphNode, Tensor | null> | null,
): void {
  const root = output.node;
  if (!root) {
    throw new PaellaError(
      'graph',
      `backward: ${output.toString()} depends on nothing that requires a gradient`,
      {
        fix: 'Set requiresGrad on a leaf, and compute outside of noGrad().',
      },
    );
  }
  if (gradient ? gradient.shape.join() !== output.shape.join() : output.size !== 1) {
    throw new PaellaError('shape', `backward: needs a gradient of the shape of ${output.toString()}`, {
      fix: 'Reduce the loss to one number, or pass its gradient.',
    });
  }
  const nodes = reachable(root, targets);
  for (const node of nodes) node.retain();
  const pending = new Map<GraphNode, Tensor>();
  try {
    pending.set(root, gradient ? gradient.alias() : output.device.ones(output.shape).keep());
    for (const node of nodes) {
      const own = pending.get(node);
      pending.delete(node);
      if (targets?.has(node)) targets.set(node, own ?? null);
      else if (node.leaf) {
        if (own) {
          node.leaf.accumulate(own);
          watcher?.(node.leaf);
        }
      } else if (own) passOn(node, own, pending);
      if (!retainGraph && !node.leaf && !targets?.has(node)) node.free();
    }
  } finally {
    for (const left of pending.values()) left.dispose();
    for (const node of nodes) node.release();
  }
}

/** Adds a node's gradients to those of its inputs, and frees its own. */
function passOn(node: GraphNode, own: Tensor, pending: Map<GraphNode, Tensor>): void {
  const { inputs } = node;
  noGrad(() =>
    scope(() => {
      const grads = node.differentiate(own);
      inputs.forEach((input, i) => {
        const given = grads[i];
        if (!input || !given) return;
        const before = pending.get(input);
        pending.set(input, before ? binary('add', before, given).keep() : given.alias());
        before?.dispose();
      });
    }),
  );
  own.dispose();
}

/**
 * The nodes that `root` depends on, it first, each before its inputs; with targets, those that lead to one.
 *
 * Of two that could be next, it is the one with the shorter way to leaves: what leads aside, to a parameter or to
 * something that was computed before all else, is done with at once. So gradients of parameters are complete in the order
 * in which the pass comes by them, for whoever watches, and few gradients are kept.
 */
function reachable(root: GraphNode, targets: ReadonlyMap<GraphNode, unknown> | null): GraphNode[] {
  const found = new Set([root]);
  for (const node of found) {
    if (targets?.has(node)) continue;
    for (const input of node.inputs) if (input) found.add(input);
  }
  const oldestFirst = [...found].sort((a, b) => a.id - b.id);
  /** Of the nodes that lead to an end that is wanted: their longest way there, and those of their inputs that do too. */
  const depths = new Map<GraphNode, number>();
  const inputs = new Map<GraphNode, GraphNode[]>();
  const uses = new Map<GraphNode, number>();
  const leads = (node: GraphNode | null): node is GraphNode => node !== null && depths.has(node);
  for (const node of oldestFirst) {
    const isTarget = targets?.has(node);
    const own = isTarget ? [] : node.inputs.filter(leads);
    if (targets && !isTarget && own.length === 0) continue;
    depths.set(node, 1 + Math.max(0, ...own.map((input) => depths.get(input)!)));
    inputs.set(node, own);
    for (const input of own) uses.set(input, (uses.get(input) ?? 0) + 1);
  }
  const order: GraphNode[] = [];
  const ready = depths.has(root) ? [root] : [];
  while (ready.length > 0) {
    const next = ready.reduce((best, node) => (depths.get(node)! < depths.get(best)! ? node : best));
    ready.splice(ready.indexOf(next), 1);
    order.push(next);
    for (const input of inputs.get(next)!) {
      const left = uses.get(input)! - 1;
      uses.set(input, left);
      if (left === 0) ready.push(input);
    }
  }
  return order;
}
