/// <reference types="node" />
import { createHash } from 'node:crypto';
import type { Optimizer } from '../optim/optimizer.js';
import type { Group } from './group.js';

/**
 * Compares what an optimizer trains over all processes, bit by bit: processes that see the same gradients keep the same
 * weights, unless a machine computes wrongly or a random number is drawn apart.
 *
 * @returns the first parameter that differs, null if none does
 */
export async function firstDifference(
  group: Group,
  optimizer: Optimizer<{ lr: number }>,
): Promise<string | null> {
  if (group.size === 1) return null;
  const hashes: [name: string, hash: string][] = [];
  for (const { value, members } of optimizer.groups.flatMap(({ blocks }) => blocks)) {
    const values = (await value.data()) as Float32Array;
    for (const { name, start, tensor } of members) {
      const own = values.subarray(start, start + tensor.size);
      const bytes = new Uint8Array(own.buffer, own.byteOffset, own.byteLength);
      hashes.push([name, createHash('sha1').update(bytes).digest('base64')]);
    }
  }
  const whole = createHash('sha1').update(JSON.stringify(hashes)).digest('base64');
  const all = await group.allGather(whole);
  if (all.every((one) => one === all[0])) return null;
  const lists = await group.allGather(hashes);
  return hashes.find((_, i) => lists.some((list) => list[i][1] !== lists[0][i][1]))?.[0] ?? null;
}
