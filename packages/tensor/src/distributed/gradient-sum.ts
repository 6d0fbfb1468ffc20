import { watchGradients } from '../autograd/backward.js';
import { noGrad } from '../autograd/mode.js';
import { PaellaError } from '../errors.js';
import { f16ToF32, f32ToF16 } from '../io/half.js';
import type { Block, Member } from '../optim/flat.js';
import type { Optimizer } from '../optim/optimizer.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { Group } from './group.js';

export interface GradientSumOptions {
  /**
   * How gradients travel. f16 is half of the bytes, for slow networks: each is rounded to 11 bits, and what is below 6e-8
   * is lost; what is above 65504 becomes infinite, which optimizers notice.
   */
  dtype?: 'f32' | 'f16';
  /** Gradients are exchanged by about so much; by default a sixteenth of them, from 1 to 16 MiB. */
  bucketBytes?: number;
}

/** Parameters that lie side by side, and whose gradients are exchanged together. */
interface Bucket {
  block: Block;
  members: Member[];
  start: number;
  size: number;
  /** Members whose gradients this pass has yet to bring. */
  missing: Set<Tensor>;
  /** Whether all members had gradients when the exchange began: its result is written as soon as it is there. */
  isComplete: boolean;
  /** What came of the exchange, once it began. */
  sum: Promise<Float32Array> | null;
}

/**
 * Adds up gradients over processes while a backward pass still computes others, as PyTorch's DistributedDataParallel
 * does (arXiv 2006.15704): parameters form buckets whose gradients are read, reduced and written back as soon as they are
 * complete. The first pass finds out in which order they get so, and exchanges after it.
 *
 * It sums: for the mean over processes, divide the loss by their number.
 */
export class GradientSum {
  readonly #group: Group;
  readonly #dtype: 'f32' | 'f16';
  readonly #buckets: readonly Bucket[];
  readonly #bucketOf = new Map<Tensor, Bucket>();
  /** The order in which all processes exchange them, once they agreed on one. */
  #order: readonly Bucket[] | null = null;
  /** The order in which a pass completed them. */
  #completed: Bucket[] = [];

  /** @param optimizer whose parameters are meant; the same one in all processes */
  constructor(
    optimizer: Optimizer<{ lr: number }>,
    group: Group,
    { bucketBytes, dtype = 'f32' }: GradientSumOptions = {},
  ) {
    this.#group = group;
    this.#dtype = dtype;
    const blocks = optimizer.groups.flatMap(({ blocks: own }) => [...own]);
    const bytes = bucketBytes ?? usualBytes(blocks);
    this.#buckets = group.size === 1 ? [] : blocks.reverse().flatMap((block) => split(block, bytes));
    for (const bucket of this.#buckets) {
      for (const { tensor } of bucket.members) this.#bucketOf.set(tensor, bucket);
    }
  }

  /**
   * Runs the last backward pass before {@link finish}, and exchanges what it completes.
   *
   * @throws PaellaError `graph` if a parameter gets a second gradient when the first is on its way: one that two
   *   checkpoints use, say
   */
  during<T>(pass: () => T): T {
    if (this.#group.size === 1) return pass();
    for (const bucket of this.#buckets) {
      bucket.missing = new Set(trained(bucket).map(({ tensor }) => tensor));
    }
    this.#completed = [];
    let next = 0;
    const ready = (leaf: Tensor): void => {
      const bucket = this.#bucketOf.get(leaf);
      if (!bucket) return;
      if (!bucket.missing.delete(leaf)) throw late(bucket, leaf);
      if (bucket.missing.size === 0) this.#completed.push(bucket);
      // In one order in all processes, whichever is complete first.
      while (this.#order?.[next]?.missing.size === 0) this.#exchange(this.#order[next++]);
    };
    return watchGradients(ready, pass);
  }

  /**
   * Ends when the gradients are sums over all processes. Those that a process lacks count as zero; those that all of them
   * lack stay absent.
   *
   * @throws PaellaError `argument` if processes have other parameters, or adapters that lay them out otherwise
   */
  async finish(): Promise<void> {
    if (this.#group.size === 1) return;
    const order = (this.#order ??= await this.#agree());
    for (const bucket of order) if (!bucket.sum) this.#exchange(bucket);
    const members = this.#buckets.flatMap((bucket) => bucket.members);
    const has = Uint32Array.from(members, ({ tensor }) => (tensor.grad ? 1 : 0));
    const counts = await this.#group.allReduce(has);
    noGrad(() =>
      scope(() => {
        for (const [i, { tensor }] of members.entries()) {
          if (counts[i] > 0 && !tensor.grad) tensor.accumulate(tensor.device.zeros(tensor.shape));
        }
      }),
    );
    for (const bucket of this.#buckets) {
      const sum = await bucket.sum!;
      if (!bucket.isComplete) write(bucket, sum);
      bucket.sum = null;
    }
  }

  #exchange(bucket: Bucket): void {
    bucket.isComplete = trained(bucket).every(({ tensor }) => tensor.grad);
    const sum =
      this.#dtype === 'f16'
        ? this.#group.allReduce(read(bucket).then(f32ToF16)).then(f16ToF32)
        : this.#group.allReduce(read(bucket));
    bucket.sum = bucket.isComplete ? sum.then((all) => write(bucket, all)) : sum;
    bucket.sum.catch(() => {}); // finish() hears of it
  }

  /**
   * Settles the order of exchanges, after the first pass: the one in which rank 0 completed its buckets. Parameters need
   * not be listed in the order in which they are used.
   */
  async #agree(): Promise<Bucket[]> {
    const own = [...new Set([...this.#completed, ...this.#buckets])];
    const all = await this.#group.allGather({
      sizes: this.#buckets.map(({ size }) => size),
      order: own.map((bucket) => this.#buckets.indexOf(bucket)),
    });
    // Buckets of other sizes would end MPI, or mix up parameters.
    const other = all.findIndex(({ sizes }) => sizes.join() !== all[0].sizes.join());
    if (other < 0) return all[0].order.map((i) => this.#buckets[i]);
    throw new PaellaError('argument', `gradients of rank ${other} lie otherwise than those of rank 0`, {
      fix: 'Give all processes the same parameters, and adapters of one kind.',
    });
  }
}

/** A sixteenth of all: some hide behind the pass. From 1 MiB, where starting counts, to 16, where waiting does. */
function usualBytes(blocks: readonly Block[]): number {
  const total = blocks.reduce((sum, { size }) => sum + 4 * size, 0);
  return Math.min(2 ** 24, Math.max(2 ** 20, total / 16));
}

const trained = ({ members }: Bucket): Member[] => members.filter(({ tensor }) => tensor.requiresGrad);

const late = ({ members }: Bucket, leaf: Tensor): PaellaError => {
  const { name } = members.find(({ tensor }) => tensor === leaf)!;
  return new PaellaError('graph', `parameter ${name} got another gradient when its first was on its way`, {
    fix: 'Run this pass outside of during(): finish() exchanges what is left.',
  });
};

/** Cuts a block into buckets from its end on: backward passes begin there. */
function split(block: Block, bucketBytes: number): Bucket[] {
  const buckets: Bucket[] = [];
  for (const member of [...block.members].reverse()) {
    const last = buckets.at(-1);
    if (last && 4 * (last.size + member.size) <= bucketBytes) {
      last.members.unshift(member);
      last.start = member.start;
      last.size += member.size;
    } else {
      const { start, size } = member;
      buckets.push({
        block,
        members: [member],
        start,
        size,
        missing: new Set(),
        isComplete: false,
        sum: null,
      });
    }
  }
  return buckets;
}

/** The gradients, zero where there are none. */
async function read({ block, start, size, members }: Bucket): Promise<Float32Array> {
  const absent = members.filter(({ tensor }) => !tensor.grad);
  const part = block.gradient.device.part(block.gradient, start, [size]).keep();
  const values = (await part.data()) as Float32Array;
  part.dispose();
  // Their places hold what an earlier step left.
  for (const member of absent) values.fill(0, member.start - start, member.start - start + member.size);
  return values;
}

function write({ block, start, size }: Bucket, values: Float32Array): Float32Array {
  const { device } = block.gradient;
  scope(() => device.write(device.part(block.gradient, start, [size]), values));
  return values;
}
