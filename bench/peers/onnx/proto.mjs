/**
 * The part of ONNX's file format that a graph of tensors needs. Field numbers are those of ONNX's own `onnx.proto`;
 * fields that nothing here writes are left out.
 */
import protobuf from 'protobufjs';

const description = `
  syntax = "proto3";
  message ModelProto {
    int64 ir_version = 1;
    repeated OperatorSetIdProto opset_import = 8;
    GraphProto graph = 7;
  }
  message OperatorSetIdProto { string domain = 1; int64 version = 2; }
  message GraphProto {
    repeated NodeProto node = 1;
    string name = 2;
    repeated TensorProto initializer = 5;
    repeated ValueInfoProto input = 11;
    repeated ValueInfoProto output = 12;
  }
  message NodeProto {
    repeated string input = 1;
    repeated string output = 2;
    string name = 3;
    string op_type = 4;
    repeated AttributeProto attribute = 5;
    string domain = 7;
  }
  message AttributeProto {
    string name = 1;
    float f = 2;
    int64 i = 3;
    bytes s = 4;
    repeated int64 ints = 8;
    int32 type = 20;
  }
  message TensorProto { repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9; }
  message ValueInfoProto { string name = 1; TypeProto type = 2; }
  message TypeProto { TensorType tensor_type = 1; }
  message TensorType { int32 elem_type = 1; TensorShapeProto shape = 2; }
  message TensorShapeProto { repeated Dimension dim = 1; }
  message Dimension { int64 dim_value = 1; }
`;

const Model = protobuf.parse(description, { keepCase: true }).root.lookupType('ModelProto');

/** Element types, by ONNX's numbers. */
const TYPES = /** @type {const} */ ({ float: 1, int32: 6, int64: 7 });

/** @typedef {keyof typeof TYPES} ElementType */

/** @typedef {number | string | readonly number[]} Attribute a number is an integer, unless it is in `floats` */

/**
 * @typedef {object} GraphNode
 * @property {string} op
 * @property {string} domain `''`, or `com.microsoft`
 * @property {readonly string[]} inputs
 * @property {string} output
 * @property {Readonly<Record<string, Attribute>>} attributes
 *
 * @typedef {{ name: string, shape: readonly number[], type: ElementType }} GraphValue
 *
 * @typedef {object} Graph
 * @property {readonly GraphNode[]} nodes each after those whose outputs it reads
 * @property {readonly (GraphValue & { bytes: Uint8Array })[]} initializers
 * @property {readonly GraphValue[]} inputs
 * @property {readonly GraphValue[]} outputs
 */

/** Attributes that are floats even where they are whole. */
const floats = new Set(['epsilon', 'scale']);

/**
 * @param {Graph} graph
 * @returns {Uint8Array} a model file
 */
export function encodeModel({ nodes, initializers, inputs, outputs }) {
  const message = Model.fromObject({
    ir_version: 10,
    opset_import: [
      { domain: '', version: 21 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: 'graph',
      node: nodes.map(({ op, domain, output, ...node }) => ({
        op_type: op,
        domain,
        name: `${op} ${output}`,
        input: node.inputs,
        output: [output],
        attribute: Object.entries(node.attributes).map(([name, value]) => attribute(name, value)),
      })),
      input: inputs.map(valueInfo),
      output: outputs.map(valueInfo),
    },
  });
  // Set afterwards: fromObject would copy the weights.
  Reflect.get(message, 'graph').initializer = initializers.map(({ name, shape, type, bytes }) => ({
    name,
    dims: shape,
    data_type: TYPES[type],
    raw_data: bytes,
  }));
  return Model.encode(message).finish();
}

/** @param {string} name @param {Attribute} value */
function attribute(name, value) {
  if (typeof value === 'string') return { name, type: 3, s: new TextEncoder().encode(value) };
  if (typeof value !== 'number') return { name, type: 7, ints: value };
  return floats.has(name) ? { name, type: 1, f: value } : { name, type: 2, i: value };
}

/** @param {GraphValue} value */
function valueInfo({ name, shape, type }) {
  const dim = shape.map((size) => ({ dim_value: size }));
  return { name, type: { tensor_type: { elem_type: TYPES[type], shape: { dim } } } };
}
