/** Values and weights that one process has and all need. */
import { DTYPES, type TypedArray } from '../io/dtype.js';
import { type StateDict, type TensorInfo, elementCount, stateDictOfReaders } from '../io/state-dict.js';
import type { Group } from './group.js';

/** The value of rank 0, as JSON carries it; what others pass is not looked at. */
export async function shareValue<T>(group: Group, value: T): Promise<T> {
  if (group.size === 1) return value;
  const text = new TextEncoder().encode(group.rank === 0 ? JSON.stringify(value) : '');
  const [length] = await group.allReduce(Uint32Array.of(text.length));
  const bytes = await group.broadcast(group.rank === 0 ? text : new Uint8Array(length));
  return JSON.parse(new TextDecoder().decode(bytes)) as T;
}

/**
 * The tensors of rank 0, for all processes; what others pass is not looked at. Each is read, and sent, when it is asked
 * for: all processes must ask for the same ones in the same order, as modules and optimizers do that load them.
 */
export async function shareState(group: Group, state: StateDict | null): Promise<StateDict> {
  if (group.size === 1) return state!;
  const own = group.rank === 0 ? state : null;
  const list = own?.keys().map((key) => [key, own.info(key)] as const) ?? [];
  const readers = (await shareValue(group, list)).map(([key, info]) => {
    const read = (): Promise<TypedArray> =>
      group.broadcast(own ? own.get(key).then(({ data }) => data) : emptyArray(info));
    return [key, { ...info, read }] as const;
  });
  return stateDictOfReaders('the state of rank 0', new Map(readers));
}

function emptyArray({ shape, dtype }: TensorInfo): TypedArray {
  const { array } = DTYPES[dtype];
  // f16 and bf16 are wider in memory than in files.
  const width = new array(new ArrayBuffer(0)).BYTES_PER_ELEMENT;
  return new array(new ArrayBuffer(elementCount(shape) * width));
}
