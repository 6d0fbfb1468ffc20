import { type FlatRange, planClipScale, planReduce } from '@paella/kernels';
import { noGrad } from '../autograd/mode.js';
import type { Device } from '../device/device.js';
import { PaellaError } from '../errors.js';
import type { StateDict } from '../io/state-dict.js';
import { cat } from '../ops/layout.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { type Block, type Member, type Trainable, activeRanges, flatten } from './flat.js';

/** Parameters that share hyperparameters; those left out are the optimizer's. */
export type ParamGroup<Options> = { params: readonly Trainable[] } & Partial<Options>;

/** A group as an optimizer holds it; change `options.lr` (and the rest) between steps as you like. */
export interface Group<Options> {
  options: Options;
  readonly blocks: readonly Block[];
}

/**
 * What optimizers share: parameter groups, whose tensors lie side by side so that a step is one launch a group (for
 * each 128 MiB, or what the adapter allows a buffer), gradient clipping, and saving.
 */
export abstract class Optimizer<Options extends { lr: number }> {
  readonly groups: readonly Group<Options>[];
  /** One tensor a block and name, of the block's size: moments, velocities. */
  readonly #state = new Map<Block, Map<string, Tensor>>();

  /** @throws PaellaError `argument` without parameters, or as {@link flatten} */
  constructor(params: readonly Trainable[] | readonly ParamGroup<Options>[], defaults: Options) {
    if (params.length === 0) throw new PaellaError('argument', 'an optimizer needs at least one parameter');
    const single = params.filter((one): one is Trainable => !('params' in one));
    const given: { params: readonly Trainable[] }[] = params.filter((one) => 'params' in one);
    if (single.length > 0) given.push({ params: single });
    this.groups = given.map(({ params: members, ...options }) => ({
      options: Object.assign({}, defaults, options),
      blocks: flatten(members),
    }));
  }

  /** Names of the state that each parameter has, and that `stateDict` saves. */
  protected abstract readonly stateNames: readonly string[];

  /** Records the update of neighbouring parameters that have taken `step` steps, this one included. */
  protected abstract update(
    block: Block,
    range: FlatRange,
    options: Options,
    step: number,
    norm: Tensor | null,
  ): void;

  get device(): Device {
    return this.#blocks()[0].value.device;
  }

  /**
   * Updates every parameter that has a gradient, in place; the others, and what the optimizer keeps for them, stay
   * as they are, as in PyTorch.
   *
   * @param options.unlessNonFinite the norm of the gradients ({@link clipGradNorm}): where it is infinite or no number,
   *   AdamW leaves everything as it is, without waiting for the host to look
   */
  step({ unlessNonFinite = null }: { unlessNonFinite?: Tensor | null } = {}): void {
    for (const { options, blocks } of this.groups) {
      for (const block of blocks) {
        for (const range of activeRanges(block)) {
          this.update(block, range, options, range.members[0].steps + 1, unlessNonFinite);
          for (const member of range.members) {
            member.steps++;
            member.tensor.overwritten();
          }
        }
      }
    }
  }

  /** Forgets all gradients. */
  zeroGrad(): void {
    for (const { members } of this.#blocks()) for (const { tensor } of members) tensor.zeroGrad();
  }

  /** Sets the learning rate of all groups. */
  setLearningRate(lr: number): void {
    for (const { options } of this.groups) options.lr = lr;
  }

  /**
   * The 2-norm of all gradients together; those above `maxNorm` are scaled down to it, in place (PyTorch's
   * `clip_grad_norm_`).
   *
   * @param options.unscale factor on all gradients that comes first: the inverse of a loss scale
   * @returns the norm before clipping, a scalar; a norm that is not finite says that a gradient is not
   */
  clipGradNorm(maxNorm = Infinity, { unscale = 1 }: { unscale?: number } = {}): Tensor {
    return noGrad(() =>
      scope(() => {
        const { device } = this;
        const ranges = this.#blocks().flatMap((block) =>
          activeRanges(block).map((range) => ({ block, range })),
        );
        const squares = ranges.map(({ block, range }) =>
          squareSum(device.part(block.gradient, range.start, [range.size])),
        );
        if (squares.length === 0) return device.zeros([]);
        const norm = cat(squares, 0).sum().sqrt();
        if (maxNorm < Infinity || unscale !== 1) {
          const limit = Math.min(maxNorm, 3e38);
          for (const { block, range } of ranges) {
            const plan = planClipScale(range, { limit, unscale }, device.capabilities);
            device.run(plan, [norm, block.gradient]);
          }
        }
        return unscale === 1 ? norm : norm.mul(unscale);
      }),
    );
  }

  /**
   * The optimizer's state under `<name>.<parameter>`, each in its parameter's PyTorch shape, and `step.<parameter>`.
   * Names are those given with the parameters, or their numbers.
   */
  stateDict(): StateDict {
    const entries = new Map<string, { block: Block; member: Member; state: string }>();
    for (const block of this.#blocks()) {
      for (const member of block.members) {
        for (const state of ['step', ...this.stateNames]) {
          entries.set(`${state}.${member.name}`, { block, member, state });
        }
      }
    }
    const find = (key: string) => {
      const entry = entries.get(key);
      if (!entry) throw new PaellaError('not-found', `the optimizer has no state "${key}"`);
      return entry;
    };
    const shapeOf = ({ member, state }: ReturnType<typeof find>) =>
      state === 'step' ? [] : [...(member.parameter ?? member.tensor).shape];
    return {
      keys: () => [...entries.keys()],
      info: (key) => ({ shape: shapeOf(find(key)), dtype: 'f32' }),
      get: async (key) => {
        const entry = find(key);
        const { block, member, state } = entry;
        if (state === 'step') return { shape: [], dtype: 'f32', data: Float32Array.of(member.steps) };
        const part = this.#part(block, member, state);
        const values = await (member.parameter ? member.parameter.export(part) : part.data());
        part.dispose();
        return { shape: shapeOf(entry), dtype: 'f32', data: values as Float32Array<ArrayBuffer> };
      },
    };
  }

  /**
   * Goes on from a saved state.
   *
   * @throws PaellaError `state-dict` listing what is missing; nothing is changed then
   */
  async loadStateDict(state: StateDict): Promise<void> {
    const own = this.stateDict().keys();
    const given = new Set(state.keys());
    const missing = own.filter((key) => !given.has(key));
    if (missing.length > 0) {
      const list = missing.slice(0, 5).join(', ');
      throw new PaellaError('state-dict', `the optimizer's state lacks ${missing.length} entries: ${list}`, {
        fix: 'Load the state of an optimizer of the same kind and the same parameters.',
      });
    }
    for (const block of this.#blocks()) {
      for (const member of block.members) {
        member.steps = Number((await state.get(`step.${member.name}`)).data[0]);
        for (const name of this.stateNames) {
          const { data } = await state.get(`${name}.${member.name}`);
          const values = data as Float32Array;
          const loaded = member.parameter
            ? member.parameter.import(values)
            : this.device.tensor(values, member.tensor.shape);
          const part = this.#part(block, member, name);
          part.assign(loaded);
          part.dispose();
          loaded.dispose();
        }
      }
    }
  }

  /** Frees the optimizer's state and the gradients. The parameters live on. */
  dispose(): void {
    for (const states of this.#state.values()) for (const tensor of states.values()) tensor.dispose();
    this.#state.clear();
    for (const { value, gradient, members } of this.#blocks()) {
      for (const { tensor, gradSlot } of members) if (gradSlot) tensor.leaveGradSlot(gradSlot);
      value.dispose();
      gradient.dispose();
    }
  }

  /** State of a block, zero at first. */
  protected state(block: Block, name: string): Tensor {
    const states = this.#state.get(block) ?? new Map<string, Tensor>();
    this.#state.set(block, states);
    let tensor = states.get(name);
    if (!tensor) {
      tensor = this.device.zeros([block.size]).keep();
      states.set(name, tensor);
    }
    return tensor;
  }

  #part(block: Block, { start, tensor }: Member, name: string): Tensor {
    return this.device.part(this.state(block, name), start, tensor.shape).keep();
  }

  #blocks(): Block[] {
    return this.groups.flatMap(({ blocks }) => [...blocks]);
  }
}

/** Σ x², as `[1]`. */
function squareSum(x: Tensor): Tensor {
  const shape = { outer: 1, length: x.size, inner: 1 };
  let current = x;
  for (const { launch, size } of planReduce('sum', shape, { square: true }, x.device.capabilities)) {
    const next = x.device.empty([size]);
    x.device.run(launch, [current, next]);
    current = next;
  }
  return current;
}
