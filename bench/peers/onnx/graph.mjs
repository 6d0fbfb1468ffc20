/** The suite's operations as nodes of an ONNX graph. Images are channels first inside, as ONNX has them. */
import { reorder } from '../../networks/weights.mjs';
import { encodeModel } from './proto.mjs';

/** @typedef {import('../engine.mjs').Values} Values */
/** @typedef {import('../engine.mjs').Build} Build */
/** @typedef {import('./proto.mjs').ElementType} ElementType */
/** @typedef {Readonly<Record<string, import('./proto.mjs').Attribute>>} Attributes */

/**
 * A tensor of the graph: what a node gives, a constant, or one of the graph's inputs.
 *
 * @typedef {object} Value
 * @property {readonly number[]} shape
 * @property {ElementType} type
 * @property {Made} [made] the node
 * @property {Float32Array<ArrayBuffer> | Int32Array | BigInt64Array} [data] of a constant
 *
 * @typedef {{ op: string, domain: string, inputs: readonly Value[], attributes: Attributes }} Made
 */

/** @typedef {{ shape: readonly number[], type: ElementType }} Described */

/**
 * @param {Build} build
 * @param {readonly Described[]} inputs `in0`, `in1`, …
 * @param {(attention: Attention) => boolean} [isFused] whether to leave it to one operator; else it is composed
 * @returns {{ bytes: Uint8Array, out: Described }} a model file with one output, `out0`
 */
export function buildModel(build, inputs, isFused = () => true) {
  const given = inputs.map((input) => ({ ...input }));
  const result = build(engineWith(isFused), given);
  const out = result.type === 'int64' ? asFloats(result) : result;
  return { bytes: serialize(given, [out]), out: { shape: out.shape, type: out.type } };
}

/** @typedef {{ queries: readonly number[], keys: readonly number[], heads: number }} Attention its operands' shapes */

/** The attention in a graph. @param {Build} build @param {readonly Described[]} inputs @returns {Attention[]} */
export function attentionIn(build, inputs) {
  /** @type {Attention[]} */
  const found = [];
  build(
    engineWith((attention) => found.push(attention) > 0),
    inputs.map((input) => ({ ...input })),
  );
  return found;
}

/** @param {(attention: Attention) => boolean} isFused @returns {typeof onnxEngine} */
function engineWith(isFused) {
  /** A weight that is used many times is in the file once. @type {Map<Values, Value>} */
  const constants = new Map();
  return {
    ...onnxEngine,
    constant(values) {
      const value = constants.get(values) ?? onnxEngine.constant(values);
      constants.set(values, value);
      return value;
    },
    attention(q, k, v, heads) {
      const attend = isFused({ queries: q.shape, keys: k.shape, heads })
        ? onnxEngine.attention
        : composedAttention;
      return attend(q, k, v, heads);
    },
  };
}

/** What argmax chose, looked up in a table of numbers: its 64-bit type can be an index on the device, and no more. */
function asFloats(/** @type {Value} */ chosen) {
  const [choices] = chosen.made?.inputs ?? [];
  const numbers = Float32Array.from({ length: choices?.shape.at(-1) ?? 0 }, (_, i) => i);
  return onnxEngine.gather({ shape: [numbers.length], type: 'float', data: numbers }, chosen);
}

/**
 * A model whose outputs are its inputs: it moves them to where a session wants its outputs.
 *
 * @param {readonly Described[]} values
 * @returns {Uint8Array}
 */
export function identityModel(values) {
  const given = values.map((value) => ({ ...value }));
  return serialize(
    given,
    given.map((value) => node('Identity', [value], value.shape, {}, value.type)),
  );
}

/** Indices are signed in ONNX. @param {Values} values @returns {Described} */
export const describe = ({ shape, data }) => ({
  shape,
  type: data instanceof Uint32Array ? 'int32' : 'float',
});

/**
 * Names what the outputs need, in an order in which it can be computed.
 *
 * @param {readonly Value[]} inputs @param {readonly Value[]} outputs
 * @returns {Uint8Array}
 */
function serialize(inputs, outputs) {
  /** @type {Map<Value, string>} */
  const names = new Map(inputs.map((value, i) => [value, `in${i}`]));
  outputs.forEach((value, i) => names.set(value, `out${i}`));
  /** @type {import('./proto.mjs').GraphNode[]} */
  const nodes = [];
  /** @type {(import('./proto.mjs').GraphValue & { bytes: Uint8Array })[]} */
  const initializers = [];
  const nameOf = (/** @type {Value} */ value) => {
    const name = names.get(value) ?? `v${names.size}`;
    names.set(value, name);
    return name;
  };
  // Not by recursion: a graph may be thousands of nodes deep. What has been entered comes after what it reads.
  /** @type {Set<Value>} */
  const entered = new Set();
  const done = new Set(inputs);
  const stack = [...outputs];
  for (let value = stack.at(-1); value; value = stack.at(-1)) {
    const { made, data, shape, type } = value;
    if (made && !entered.has(value)) {
      entered.add(value);
      stack.push(...made.inputs.filter((input) => !done.has(input)));
      continue;
    }
    stack.pop();
    if (done.has(value)) continue;
    done.add(value);
    const name = nameOf(value);
    if (made) {
      const { op, domain, attributes } = made;
      nodes.push({ op, domain, attributes, inputs: made.inputs.map(nameOf), output: name });
    } else if (data) {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      initializers.push({ name, shape, type, bytes });
    }
  }
  const described = (/** @type {Value} */ value) => ({
    name: nameOf(value),
    shape: value.shape,
    type: value.type,
  });
  return encodeModel({
    nodes,
    initializers,
    inputs: inputs.map(described),
    outputs: outputs.map(described),
  });
}

/**
 * @param {string} op @param {readonly Value[]} inputs @param {readonly number[]} shape @param {Attributes} attributes
 * @param {ElementType} type
 * @returns {Value}
 */
const node = (op, inputs, shape, attributes = {}, type = 'float', domain = '') => ({
  shape,
  type,
  made: { op, domain, inputs, attributes },
});

/** A list of sizes or axes, which operators take as an input. @param {readonly number[]} list @returns {Value} */
const listOf = (list) => ({
  shape: [list.length],
  type: 'int64',
  data: BigInt64Array.from(list, (size) => BigInt(size)),
});

/** @param {number} value @returns {Value} */
const scalar = (value) => ({ shape: [], type: 'float', data: new Float32Array([value]) });

/** @param {readonly number[]} shape @returns {Value} */
const ones = (shape) => ({ shape, type: 'float', data: new Float32Array(count(shape)).fill(1) });

/** @param {readonly number[]} shape */
const count = (shape) => shape.reduce((a, b) => a * b, 1);

/** @param {string} op @returns {(a: Value, b: Value | number) => Value} */
const binary = (op) => (a, b) => {
  const other = typeof b === 'number' ? scalar(b) : b;
  return node(op, [a, other], broadcast(a.shape, other.shape));
};

/** @param {readonly number[]} a @param {readonly number[]} b */
function broadcast(a, b) {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) =>
    Math.max(a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1),
  );
}

/** @param {string} op @returns {(x: Value, axes: readonly number[]) => Value} */
const reduction = (op) => (x, axes) => {
  const wanted = axes.map((axis) => (axis < 0 ? axis + x.shape.length : axis));
  const shape = x.shape.map((size, axis) => (wanted.includes(axis) ? 1 : size));
  return node(op, [x, listOf(wanted)], shape, { keepdims: 1 });
};

/** @param {Value} x @param {readonly number[]} shape */
const reshape = (x, shape) => node('Reshape', [x, listOf(shape)], shape, {}, x.type);

/** Constants are reordered here and now. @param {Value} x @param {readonly number[]} order @returns {Value} */
function transpose(x, order) {
  const shape = order.map((axis) => x.shape[axis]);
  if (x.data instanceof Float32Array)
    return { type: 'float', ...reorder({ shape: x.shape, data: x.data }, order) };
  return node('Transpose', [x], shape, { perm: order }, x.type);
}

const [toChannelsFirst, toChannelsLast] = [
  [0, 3, 1, 2],
  [0, 2, 3, 1],
];

/**
 * Channels first around a convolution; the optimiser cancels what it can of that.
 *
 * @param {string} op @param {readonly Value[]} inputs @param {readonly number[]} shape channels last
 * @param {Attributes} attributes
 */
const convolution = (op, [x, ...rest], [b, h, w, c], attributes) =>
  transpose(node(op, [transpose(x, toChannelsFirst), ...rest], [b, c, h, w], attributes), toChannelsLast);

/** @type {import('../engine.mjs').Engine<Value>} */
const onnxEngine = {
  constant: ({ shape, data }) =>
    data instanceof Uint32Array
      ? { shape, type: 'int32', data: Int32Array.from(data) }
      : { shape, type: 'float', data },
  shapeOf: ({ shape }) => shape,
  matmul(a, b, { transposeA = false, transposeB = false, bias } = {}) {
    const [m, k] = transposeA ? a.shape.slice(-2).reverse() : a.shape.slice(-2);
    const n = b.shape.at(transposeB ? -2 : -1) ?? 1;
    const shape = [...a.shape.slice(0, -2), m, n];
    // One product of matrices, whose operator takes the bias and either order of its operands.
    if (b.shape.length === 2 && (a.shape.length === 2 || !transposeA)) {
      const rows = a.shape.length === 2 ? a : reshape(a, [count(shape) / n, k]);
      const attributes = { transA: Number(transposeA), transB: Number(transposeB) };
      const product = node('Gemm', [rows, b, ...(bias ? [bias] : [])], [count(shape) / n, n], attributes);
      return a.shape.length === 2 ? product : reshape(product, shape);
    }
    const turned = (/** @type {Value} */ x, /** @type {boolean} */ turn) => {
      const axes = x.shape.map((_, axis) => axis);
      return turn ? transpose(x, [...axes.slice(0, -2), axes.length - 1, axes.length - 2]) : x;
    };
    const product = node('MatMul', [turned(a, transposeA), turned(b, transposeB)], shape);
    return bias ? onnxEngine.add(product, bias) : product;
  },
  add: binary('Add'),
  sub: binary('Sub'),
  mul: binary('Mul'),
  div: binary('Div'),
  sqrt: (x) => node('Sqrt', [x], x.shape),
  gelu: (x) => node('Gelu', [x], x.shape),
  silu: (x) => onnxEngine.mul(x, node('Sigmoid', [x], x.shape)),
  sum(x, axes) {
    // A sum of squares has an operator of its own, which saves writing the squares.
    const { op, inputs: [a, b] = [] } = x.made ?? {};
    return op === 'Mul' && a === b ? reduction('ReduceSumSquare')(a, axes) : reduction('ReduceSum')(x, axes);
  },
  mean: reduction('ReduceMean'),
  layerNorm: (x, eps) =>
    node('LayerNormalization', [x, ones(x.shape.slice(-1))], x.shape, { axis: -1, epsilon: eps }),
  softmax: (x) => node('Softmax', [x], x.shape, { axis: -1 }),
  attention: (q, k, v, heads) =>
    node('MultiHeadAttention', [q, k, v], q.shape, { num_heads: heads }, 'float', 'com.microsoft'),
  conv2d(x, weight, { stride = 1, padding = 0, groups = 1, bias }) {
    const [b, h, w] = x.shape;
    const [kh, kw, , co] = weight.shape;
    const along = (/** @type {number} */ size, /** @type {number} */ kernel) =>
      Math.floor((size + 2 * padding - kernel) / stride) + 1;
    return convolution(
      'Conv',
      [x, transpose(weight, [3, 2, 0, 1]), ...(bias ? [bias] : [])],
      [b, along(h, kh), along(w, kw), co],
      { kernel_shape: [kh, kw], strides: [stride, stride], pads: Array(4).fill(padding), group: groups },
    );
  },
  convTranspose2d(x, weight, { stride, padding, bias }) {
    const [b, h, w] = x.shape;
    const [kh, kw, , co] = weight.shape;
    const along = (/** @type {number} */ size, /** @type {number} */ kernel) =>
      (size - 1) * stride - 2 * padding + kernel;
    return convolution(
      'ConvTranspose',
      [x, transpose(weight, [2, 3, 0, 1]), ...(bias ? [bias] : [])],
      [b, along(h, kh), along(w, kw), co],
      { kernel_shape: [kh, kw], strides: [stride, stride], pads: Array(4).fill(padding) },
    );
  },
  padEdge(x) {
    const [b, h, w, c] = x.shape;
    return node('Pad', [x, listOf([0, 1, 1, 0, 0, 1, 1, 0])], [b, h + 2, w + 2, c], { mode: 'edge' });
  },
  concat(xs, axis) {
    const size = xs.reduce((sum, { shape }) => sum + shape[axis], 0);
    return node('Concat', xs, xs[0].shape.toSpliced(axis, 1, size), { axis }, xs[0].type);
  },
  reshape,
  transpose,
  gather: (table, indices) =>
    node('Gather', [table, indices], [...indices.shape, ...table.shape.slice(1)], { axis: 0 }),
  argmax: (x) => node('ArgMax', [x], x.shape.slice(0, -1), { axis: -1, keepdims: 0 }, 'int64'),
  crossEntropy(logits, targets) {
    const [rows] = logits.shape;
    const largest = reduction('ReduceMax')(logits, [1]);
    const powers = onnxEngine.sum(node('Exp', [onnxEngine.sub(logits, largest)], logits.shape), [1]);
    const total = onnxEngine.add(node('Log', [powers], powers.shape), largest);
    const chosen = node('GatherElements', [logits, reshape(targets, [rows, 1])], [rows, 1], { axis: 1 });
    return reshape(onnxEngine.mean(onnxEngine.sub(total, chosen), [0, 1]), []);
  },
};

/** @type {typeof onnxEngine.attention} */
function composedAttention(q, k, v, heads) {
  const [b, n, c] = q.shape;
  const size = c / heads;
  const { mul, matmul, softmax } = onnxEngine;
  const split = (/** @type {Value} */ x, /** @type {readonly number[]} */ order) =>
    transpose(reshape(x, [b, x.shape[1], heads, size]), order);
  const scaled = mul(q, 1 / Math.sqrt(size));
  const weights = softmax(matmul(split(scaled, [0, 2, 1, 3]), split(k, [0, 2, 3, 1])));
  return reshape(transpose(matmul(weights, split(v, [0, 2, 1, 3])), [0, 2, 1, 3]), [b, n, c]);
}
