/** Several processes in one, for tests of what they do together: a group for each rank. */
import type { Group } from '@paella/tensor/distributed';
import { f16ToF32, f32ToF16 } from '../packages/tensor/src/io/half.js';

type Numbers = Float32Array | Uint32Array | Uint16Array;

export function localGroups(size: number): Group[] {
  const calls: {
    values: unknown[];
    arrived: number;
    all: Promise<unknown[]>;
    open: (values: unknown[]) => void;
  }[] = [];
  /** What all ranks brought to their call of this number. */
  const meet = async <T>(rank: number, number: number, value: T | Promise<T>): Promise<T[]> => {
    if (!calls[number]) {
      let open!: (values: unknown[]) => void;
      const all = new Promise<unknown[]>((resolve) => (open = resolve));
      calls[number] = { values: [], arrived: 0, all, open };
    }
    const call = calls[number];
    call.values[rank] = await value;
    if (++call.arrived === size) call.open(call.values);
    return (await call.all) as T[];
  };
  return Array.from({ length: size }, (_, rank): Group => {
    let next = 0;
    return {
      rank,
      size,
      localRank: rank,
      async allReduce<T extends Numbers>(values: T | Promise<T>, op: 'sum' | 'max' = 'sum'): Promise<T> {
        const number = next++;
        const copy = Promise.resolve(values).then((own) => own.slice() as T);
        const all = await meet(rank, number, copy);
        const own = await values;
        const widened = all.map((one) => (one instanceof Uint16Array ? f16ToF32(one) : one));
        const result = widened[0].slice();
        for (let i = 0; i < result.length; i++) {
          const each = widened.map((one) => one[i]);
          result[i] = op === 'sum' ? each.reduce((a, b) => a + b) : Math.max(...each);
        }
        own.set(own instanceof Uint16Array ? f32ToF16(result as Float32Array) : result);
        return own;
      },
      async broadcast<T extends ArrayBufferView>(data: T | Promise<T>, root = 0): Promise<T> {
        const number = next++;
        const bytes = ({ buffer, byteOffset, byteLength }: T) =>
          new Uint8Array(buffer, byteOffset, byteLength);
        const copy = Promise.resolve(data).then((own) => bytes(own).slice());
        const all = await meet(rank, number, copy);
        const own = await data;
        bytes(own).set(all[root]);
        return own;
      },
      allGather: async (value) => structuredClone(await meet(rank, next++, value)),
      barrier: async () => void (await meet(rank, next++, null)),
      abort: async (reason) => {
        throw new Error(reason);
      },
      finalize: async () => {},
    };
  });
}
