/** A case as data: the operations that its build calls, in order, for an engine in another process. */
import { Device } from '@paella/tensor';
import { engineOf } from './ours.mjs';

/** @typedef {import('@paella/tensor').Tensor} Tensor */
/** @typedef {import('./engine.mjs').Values} Values */

/**
 * @typedef {object} Trace
 * @property {{ op: string, args: unknown[] }[]} ops what operation i gives has the number `inputs + constants + i`; in
 *   `args`, `{ "value": n }` stands for value n: inputs come first, then constants
 * @property {Values[]} constants
 * @property {number} result
 */

/**
 * What an operation gives: a tensor without values that knows its shape.
 */
class Value {
  /** @param {Tensor} tensor on the meta device */
  constructor(tensor) {
    this.tensor = tensor;
  }

  get shape() {
    return this.tensor.shape;
  }
}

/**
 * @param {import('./engine.mjs').Build} build
 * @param {readonly Values[]} inputs
 * @returns {Promise<Trace>}
 */
export async function trace(build, inputs) {
  const device = await Device.create({ adapter: 'meta' });
  const empty = (/** @type {Values} */ { data, shape }) =>
    device.empty(shape, data instanceof Uint32Array ? 'u32' : 'f32');
  /** @type {Map<Values, Value>} */
  const constants = new Map();
  /** @type {Trace['ops']} */
  const ops = [];
  /** @type {Value[]} */
  const results = [];
  const own = engineOf(() => device.empty([0]));
  const recorded = Object.entries(own).map(([op, apply]) => [
    op,
    (/** @type {unknown[]} */ ...args) => {
      const tensor = Reflect.apply(
        apply,
        undefined,
        args.map((arg) => mapped(arg, (value) => value.tensor)),
      );
      ops.push({ op, args });
      const value = new Value(tensor);
      results.push(value);
      return value;
    },
  ]);
  /** @type {import('./engine.mjs').Engine<Value>} */
  const engine = {
    ...Object.fromEntries(recorded),
    shapeOf: ({ shape }) => shape,
    constant(values) {
      const known = constants.get(values) ?? new Value(empty(values));
      constants.set(values, known);
      return known;
    },
  };
  const given = inputs.map((values) => new Value(empty(values)));
  const last = build(engine, given);
  const order = [...given, ...constants.values(), ...results];
  const number = (/** @type {Value} */ value) => order.indexOf(value);
  device.destroy();
  return {
    ops: ops.map(({ op, args }) => ({
      op,
      args: args.map((arg) => mapped(arg, (value) => ({ value: number(value) }))),
    })),
    constants: [...constants.keys()],
    result: number(last),
  };
}

/** The same with every value in it replaced. @param {unknown} arg @param {(value: Value) => unknown} by @returns {unknown} */
function mapped(arg, by) {
  if (arg instanceof Value) return by(arg);
  if (Array.isArray(arg)) return arg.map((one) => mapped(one, by));
  if (typeof arg !== 'object' || arg === null) return arg;
  return Object.fromEntries(Object.entries(arg).map(([key, one]) => [key, mapped(one, by)]));
}
