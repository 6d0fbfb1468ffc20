import type { FlatRange } from '@paella/kernels';
import type { Device } from '../device/device.js';
import { PaellaError } from '../errors.js';
import { Parameter } from '../nn/parameter.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';

/** What an optimizer trains: tensors that require gradients, parameters, or parameters with their names. */
export type Trainable = Tensor | Parameter | readonly [string, Parameter];

/** One trained tensor and its place in its block. */
export interface Member {
  /** The parameter's name, or its number in the list. */
  name: string;
  tensor: Tensor;
  parameter: Parameter | null;
  start: number;
  /** With the padding up to the next member: a multiple of 4. */
  size: number;
  /** Optimizer steps taken so far. */
  steps: number;
  /** Where its gradient goes, once it is in a block. */
  gradSlot: Tensor | null;
}

/** Values and gradients of many tensors side by side, in a buffer each. */
export interface Block {
  value: Tensor;
  gradient: Tensor;
  members: Member[];
  size: number;
}

/**
 * Moves tensors and their gradients into blocks, as large as the device allows, so that one launch can update them
 * all. The tensors stay what they were; only their memory moves. Padding holds zeros, which no update changes.
 *
 * @throws PaellaError `argument` for a tensor that requires no gradient, or one given twice
 */
export function flatten(trainables: readonly Trainable[]): Block[] {
  const seen = new Set<Tensor>();
  const blocks: Block[] = [];
  let members: Member[] = [];
  let size = 0;
  const close = (device: Device): void => {
    if (members.length > 0) blocks.push(makeBlock(device, members, size));
    members = [];
    size = 0;
  };
  for (const [i, trainable] of trainables.entries()) {
    const [name, given] = isPair(trainable) ? trainable : [String(i), trainable];
    const parameter = given instanceof Parameter ? given : null;
    const tensor = given instanceof Parameter ? given.value : given;
    if (!tensor.node?.leaf || seen.has(tensor)) {
      const what = seen.has(tensor) ? 'is given twice' : 'is no leaf that requires a gradient';
      throw new PaellaError('argument', `optimizer: ${name} (${tensor.toString()}) ${what}`, {
        fix: 'Give each trainable parameter once; leave out buffers, frozen and f16 parameters.',
      });
    }
    seen.add(tensor);
    const { device } = tensor;
    const alignment = device.partAlignment;
    const padded = Math.ceil(tensor.size / alignment) * alignment;
    if (4 * (size + padded) > device.maxTensorBytes) close(device);
    members.push({ name, tensor, parameter, start: size, size: padded, steps: 0, gradSlot: null });
    size += padded;
  }
  if (members.length > 0) close(members[0].tensor.device);
  return blocks;
}

function makeBlock(device: Device, members: Member[], size: number): Block {
  return scope(() => {
    const value = device.zeros([size]);
    const gradient = device.zeros([size]);
    for (const member of members) {
      const { tensor, start } = member;
      member.gradSlot = device.part(gradient, start, tensor.shape);
      tensor.moveTo(device.part(value, start, tensor.shape), member.gradSlot);
    }
    return { value: value.keep(), gradient: gradient.keep(), members, size };
  });
}

/** The runs of neighbouring members that have a gradient and whose number of steps is equal. */
export function activeRanges({ members }: Block): (FlatRange & { members: Member[] })[] {
  const ranges: (FlatRange & { members: Member[] })[] = [];
  for (const member of members) {
    if (!member.tensor.requiresGrad || !member.tensor.grad) continue;
    const last = ranges.at(-1);
    if (last && last.start + last.size === member.start && last.members[0].steps === member.steps) {
      last.members.push(member);
      last.size += member.size;
    } else {
      ranges.push({ start: member.start, size: member.size, members: [member] });
    }
  }
  return ranges;
}

const isPair = (trainable: Trainable): trainable is readonly [string, Parameter] => Array.isArray(trainable);
