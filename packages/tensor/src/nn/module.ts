import type { Device } from '../device/device.js';
import type { TensorData } from '../dtype.js';
import { PaellaError } from '../errors.js';
import type { StateDict } from '../io/state-dict.js';
import type { Rng } from '../random/rng.js';
import { Parameter } from './parameter.js';

/** Where a module lives, and the source of its initial weights if it is not going to be loaded. */
export interface ModuleContext {
  device: Device;
  /** Initialises the weights; without it they have no values until `loadStateDict`. */
  rng?: Rng;
}

/**
 * Bytes uploaded between two waits, each for the window before, so that loading a large model holds little of it in host
 * memory while the file is read on.
 */
const UPLOAD_WINDOW = 32 << 20;

/**
 * A part of a model. Its parameters and submodules are its fields, and their names are the state dict's
 * keys, which are exactly PyTorch's.
 */
export abstract class Module {
  readonly device: Device;
  #training = false;

  constructor({ device }: ModuleContext) {
    this.device = device;
  }

  /** Parameters and modules directly below this one, by name. */
  protected children(): [string, unknown][] {
    return Object.entries(this);
  }

  /**
   * Whether dropout drops and batch norm uses the batch's own statistics. Unlike in PyTorch, modules start in
   * evaluation mode: most are made to be loaded and run. Gradients do not depend on it.
   */
  get training(): boolean {
    return this.#training;
  }

  /** Turns training mode on (or off), here and in everything below. */
  train(mode = true): this {
    this.#training = mode;
    for (const [, child] of this.children()) if (child instanceof Module) child.train(mode);
    return this;
  }

  /** Evaluation mode: `train(false)`. */
  eval(): this {
    return this.train(false);
  }

  /** Freezes every parameter with `false`, or undoes it. */
  requiresGrad_(value = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad = value;
    return this;
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const { value } of this.parameters()) value.zeroGrad();
  }

  /** Every parameter and buffer below this module, by state-dict key. */
  namedParameters(prefix = ''): [string, Parameter][] {
    return this.children().flatMap(([name, child]): [string, Parameter][] => {
      if (child instanceof Parameter) return [[prefix + name, child]];
      if (child instanceof Module) return child.namedParameters(`${prefix}${name}.`);
      return [];
    });
  }

  /** The parameters that training changes. */
  parameters(): Parameter[] {
    return this.namedParameters().flatMap(([, parameter]) => (parameter.isBuffer ? [] : [parameter]));
  }

  /** The weights under PyTorch's names, in PyTorch's shapes; values are read when asked for. */
  stateDict(): StateDict {
    return exportDict(this.namedParameters(), (parameter) => parameter.save());
  }

  /**
   * The gradients under their parameters' names, in PyTorch's shapes, of those parameters that have one. Values are
   * read when asked for: ask before the next `zeroGrad()`.
   */
  gradDict(): Promise<StateDict> {
    const entries = this.namedParameters().filter(([, parameter]) => parameter.grad);
    return Promise.resolve(exportDict(entries, (parameter) => parameter.export(parameter.grad!)));
  }

  /**
   * Takes the weights from a state dict, one tensor at a time.
   *
   * @param options.strict refuse unknown and missing keys; shapes must fit in any case
   * @returns the keys that were not used and not found (empty when strict)
   * @throws PaellaError `state-dict` listing every key that does not fit, `limits` if the adapter cannot hold
   *   one of the parameters; both before anything is loaded
   */
  async loadStateDict(
    state: StateDict,
    {
      strict = true,
      onProgress,
    }: { strict?: boolean; onProgress?: (done: number, total: number) => void } = {},
  ): Promise<{ missing: string[]; unexpected: string[] }> {
    const parameters = new Map(this.namedParameters());
    const keys = new Set(state.keys());
    const missing = [...parameters.keys()].filter((key) => !keys.has(key));
    const unexpected = [...keys].filter((key) => !parameters.has(key));
    const misshapen = [...parameters].flatMap(([key, { shape }]) => {
      if (!keys.has(key)) return [];
      const given = state.info(key).shape;
      return sameShape(shape, given)
        ? []
        : [`${key} (expected [${shape.join(',')}], got [${given.join(',')}])`];
    });
    const problems = [
      describeKeys('missing', strict ? missing : []),
      describeKeys('unexpected', strict ? unexpected : []),
      describeKeys('wrong shape', misshapen),
    ].filter(Boolean);
    if (problems.length > 0) {
      throw new PaellaError('state-dict', `the checkpoint does not fit this model: ${problems.join('; ')}`, {
        fix: 'Build the model with the configuration the checkpoint was made with; `paella inspect` shows it.',
      });
    }
    this.#checkLimits(parameters);
    let window = 0;
    let done = 0;
    let taken = Promise.resolve();
    for (const [key, parameter] of parameters) {
      if (!keys.has(key)) continue;
      const { data } = await state.get(key);
      parameter.load(data instanceof BigInt64Array ? Int32Array.from(data, Number) : (data as Float32Array));
      window += data.byteLength;
      if (window > UPLOAD_WINDOW) {
        await taken;
        taken = this.device.synchronize();
        taken.catch(() => {}); // reported by whoever waits next, also when reading on fails first
        window = 0;
      }
      onProgress?.(++done, parameters.size);
    }
    await taken;
    return { missing, unexpected };
  }

  #checkLimits(parameters: ReadonlyMap<string, Parameter>): void {
    const allowed = this.device.maxTensorBytes;
    for (const [key, { largestBuffer: bytes }] of parameters) {
      if (bytes <= allowed) continue;
      const mib = (n: number) => `${Math.ceil(n / 2 ** 20)} MiB`;
      const message = `${key} needs ${mib(bytes)}, ${this.device.info.name} allows ${mib(allowed)} a buffer`;
      throw new PaellaError('limits', message, {
        fix: "Use dtype 'f16', a smaller model or another adapter.",
      });
    }
  }

  /**
   * Stores the large matrices as f16 or f32; arithmetic stays f32. Before loading, it saves the memory that
   * loading would take.
   */
  to({ dtype }: { dtype: 'f32' | 'f16' }): this {
    for (const [, parameter] of this.namedParameters()) parameter.to(dtype);
    return this;
  }

  /** Frees the weights. */
  dispose(): void {
    for (const [, parameter] of this.namedParameters()) parameter.dispose();
  }
}

/** Modules by position: keys `0.…`, `1.…`. */
export class ModuleList<T extends Module> extends Module {
  readonly #items: readonly T[];

  constructor(context: ModuleContext, items: readonly T[]) {
    super(context);
    this.#items = items;
  }

  protected override children(): [string, unknown][] {
    return this.#items.map((item, i) => [String(i), item]);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items[Symbol.iterator]();
  }

  at(index: number): T {
    return this.#items.at(index)!;
  }

  get length(): number {
    return this.#items.length;
  }
}

/**
 * The members of a PyTorch Sequential that own parameters, by their position in it: activations and
 * plain norms have a place but no keys, and are fused into their neighbours by whoever runs the block.
 */
export class Positions<T extends Record<number, Module | Parameter>> extends Module {
  readonly #members: T;

  constructor(context: ModuleContext, members: T) {
    super(context);
    this.#members = members;
  }

  protected override children(): [string, unknown][] {
    return Object.entries(this.#members);
  }

  get<K extends keyof T>(position: K): T[K] {
    return this.#members[position];
  }
}

/**
 * What belongs to parameters (their values, gradients, averages) as a state dict in PyTorch's names and shapes.
 *
 * @param read the numbers in PyTorch's layout; asked when an entry is read
 */
export function exportDict(
  parameters: readonly (readonly [string, Parameter])[],
  read: (parameter: Parameter) => Promise<TensorData>,
): StateDict {
  const entries = new Map(parameters);
  const find = (key: string): Parameter => {
    const parameter = entries.get(key);
    if (!parameter) throw new PaellaError('not-found', `there is no parameter "${key}"`);
    return parameter;
  };
  return {
    keys: () => [...entries.keys()],
    info: (key) => ({ shape: [...find(key).shape], dtype: find(key).fileDType }),
    get: async (key) => {
      const { shape, fileDType: dtype } = find(key);
      const values = await read(find(key));
      const data =
        dtype === 'i64'
          ? BigInt64Array.from(values, (v) => BigInt(v))
          : (values as Float32Array<ArrayBuffer>);
      return { shape: [...shape], dtype, data };
    },
  };
}

const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((length, i) => length === b[i]);

/** `3 missing: a, b, c`, at most 20 of them. */
function describeKeys(kind: string, keys: readonly string[]): string {
  if (keys.length === 0) return '';
  const rest = keys.length > 20 ? `, and ${keys.length - 20} more` : '';
  return `${keys.length} ${kind}: ${keys.slice(0, 20).join(', ')}${rest}`;
}
