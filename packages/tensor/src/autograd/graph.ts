import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { isGradEnabled } from './mode.js';

/**
 * Gradients of an operation's inputs from the gradient of its output.
 *
 * @param grad f32, the shape of the output
 * @param saved what the operation saved, in its order
 * @param needs which inputs want a gradient; the others may get null
 * @returns one tensor an input, of its shape, or null where it does not depend on it
 */
export type Backward = (
  grad: Tensor,
  saved: readonly Tensor[],
  needs: readonly boolean[],
) => readonly (Tensor | null)[];

/** A tensor kept for backward, and how often it had been written to when it was. */
interface Saved {
  tensor: Tensor;
  version: number;
}

let nextId = 0;

/**
 * One recorded operation, or a leaf: a tensor whose gradient is wanted.
 *
 * Nodes are counted, not collected: a node lives while a tensor or a later node refers to it. So disposing of a
 * loss (as the end of a scope does) frees everything that was kept for its backward pass.
 */
export class GraphNode {
  /** Operations have larger numbers than those that made their inputs. */
  readonly id = nextId++;
  readonly op: string;
  /** The nodes of the inputs, null where an input needs no gradient; empty once freed. */
  inputs: readonly (GraphNode | null)[];
  /** For a leaf. */
  readonly leaf: Tensor | null;
  readonly #shapes: readonly string[];
  #saved: readonly Saved[];
  #backward: Backward | null;
  #users = 0;

  constructor(
    op: string,
    inputs: readonly (Tensor | null | undefined)[],
    saved: readonly Tensor[],
    backward: Backward | null,
    leaf: Tensor | null = null,
  ) {
    this.op = op;
    this.inputs = inputs.map((input) => input?.node ?? null);
    for (const node of this.inputs) node?.retain();
    this.leaf = leaf;
    this.#shapes = inputs.map((input) => input?.shape.join(',') ?? '');
    this.#saved = saved.map((tensor) => ({ tensor: tensor.alias(), version: tensor.version }));
    this.#backward = backward;
  }

  /** One more tensor, node or backward pass refers to this node. */
  retain(): void {
    this.#users++;
  }

  /** One less; the last one frees the node, and what only it kept alive. */
  release(): void {
    const dead: GraphNode[] = [];
    if (--this.#users === 0) dead.push(this);
    for (let node = dead.pop(); node; node = dead.pop()) {
      const { inputs } = node;
      node.#drop();
      for (const input of inputs) if (input && --input.#users === 0) dead.push(input);
    }
  }

  /** Frees what was kept for backward; a second backward pass through this node is an error from now on. */
  free(): void {
    const { inputs } = this;
    this.#drop();
    for (const input of inputs) input?.release();
  }

  #drop(): void {
    for (const { tensor } of this.#saved) tensor.dispose();
    this.#saved = [];
    this.#backward = null;
    this.inputs = [];
  }

  /** Throws `graph` if the node was freed, or something it saved was overwritten since. */
  differentiate(grad: Tensor): readonly (Tensor | null)[] {
    if (!this.#backward) {
      throw new PaellaError('graph', `backward through ${this.op}, whose graph was freed`, {
        fix: 'A graph is freed by its first backward(). Run the forward pass again, or use { retainGraph: true }.',
      });
    }
    for (const { tensor, version } of this.#saved) {
      if (tensor.version === version) continue;
      throw new PaellaError(
        'graph',
        `${this.op} needs ${tensor.toString()} as it was, but it was overwritten`,
        {
          fix: 'Call backward() before the optimizer step or loading of weights that changes it.',
        },
      );
    }
    const grads = this.#backward(
      grad,
      this.#saved.map(({ tensor }) => tensor),
      this.inputs.map((input) => input !== null),
    );
    grads.forEach((one, i) => {
      if (!one || !this.inputs[i] || one.shape.join(',') === this.#shapes[i]) return;
      throw new Error(`${this.op}: gradient ${i} is [${one.shape.join(',')}], not [${this.#shapes[i]}]`);
    });
    return grads;
  }
}

/** What looks at every operation, while {@link watchOperations} runs. */
type Watcher = (op: string, out: Tensor, inputs: readonly (Tensor | null | undefined)[]) => void;
let watcher: Watcher | null = null;

/** @internal Runs `fn`, and has `watch` see every operation that has a gradient, as it is computed. */
export function watchOperations(watch: Watcher, fn: () => void): void {
  const before = watcher;
  watcher = watch;
  try {
    fn();
  } finally {
    watcher = before;
  }
}

/** Whether an operation on these inputs has to be recorded. */
export function needsGrad(...inputs: readonly (Tensor | null | undefined)[]): boolean {
  return isGradEnabled() && inputs.some((input) => input?.node);
}

/**
 * Records how to differentiate an operation, if a gradient of its inputs is wanted.
 *
 * @param out its result
 * @param inputs what it depends on differentiably; null for operands that are absent
 * @param saved what `backward` needs; kept, as views, until then, whoever disposes of them
 * @returns `out`
 */
export function record(
  op: string,
  out: Tensor,
  inputs: readonly (Tensor | null | undefined)[],
  saved: readonly Tensor[],
  backward: Backward,
): Tensor {
  watcher?.(op, out, inputs);
  if (needsGrad(...inputs)) out.attach(new GraphNode(op, inputs, saved, backward));
  return out;
}
