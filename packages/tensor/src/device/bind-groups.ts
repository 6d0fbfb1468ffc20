import type { DeviceBuffer, Stats } from './executor.js';
import type { Pipeline } from './pipelines.js';

interface Entry {
  readonly layout: GPUBindGroupLayout;
  readonly buffers: readonly DeviceBuffer[];
  readonly group: GPUBindGroup;
}

/** Makes the bind group of each layout and sequence of buffers once, and forgets it with any of its buffers. */
export class BindGroupCache {
  readonly #device: GPUDevice;
  readonly #stats: Stats;
  /** By a hash of the buffers' ids: a key spelled out for every dispatch would take ten times as long. */
  readonly #entries = new Map<number, Entry[]>();
  /** The hashes under which a buffer occurs. */
  readonly #hashesOf = new Map<number, Set<number>>();

  constructor(device: GPUDevice, stats: Stats) {
    this.#device = device;
    this.#stats = stats;
  }

  get({ layout, launch }: Pipeline, buffers: readonly DeviceBuffer[]): GPUBindGroup {
    let hash = buffers.length;
    for (const { id } of buffers) hash = (Math.imul(hash, 31) + id) | 0;
    let entries = this.#entries.get(hash);
    if (!entries) this.#entries.set(hash, (entries = []));
    for (const entry of entries) {
      if (entry.layout === layout && isSame(entry.buffers, buffers)) return entry.group;
    }
    const group = this.#device.createBindGroup({
      label: launch.kernel.name,
      layout,
      entries: buffers.map(({ gpu, part, bytes }, binding) => ({
        binding,
        resource: part ? { buffer: gpu!, offset: part.offset, size: bytes } : { buffer: gpu! },
      })),
    });
    entries.push({ layout, buffers, group });
    for (const { id, part } of buffers) {
      const owner = part?.of ?? id;
      const hashes = this.#hashesOf.get(owner) ?? new Set();
      this.#hashesOf.set(owner, hashes.add(hash));
    }
    this.#stats.bindGroupsCreated++;
    return group;
  }

  /** Forgets the groups of a buffer that is destroyed, and those that share a hash with them: they are made again. */
  drop({ id }: DeviceBuffer): void {
    for (const hash of this.#hashesOf.get(id) ?? []) this.#entries.delete(hash);
    this.#hashesOf.delete(id);
  }
}

function isSame(a: readonly DeviceBuffer[], b: readonly DeviceBuffer[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i].id !== b[i].id) return false;
  return a.length === b.length;
}
