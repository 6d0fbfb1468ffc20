import { watchGradients } from '../autograd/backward.js';
import { noGrad } from '../autograd/mode.js';
import { PaellaError } from '../errors.js';
import type { Block, Member } from '../optim/flat.js';
import type { Optimizer } from '../optim/optimizer.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { Group } from './group.js';

export interface GradientSumOptions {
  /** Gradients are exchanged by about so much. */
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
 * does (arXiv 2006.15704): parameters form buckets, the last ones first, whose gradients are read, reduced and written
 * back as soon as they are complete.
 *
 * It sums: for the mean over processes, divide the loss by their number.
 */
export class GradientSum {
  readonly #group: Group;
  readonly #buckets: readonly Bucket[];
  readonly #bucketOf = new Map<Tensor, Bucket>();
  /** Whether all processes have these buckets, once they were asked. */
  #agreed: Promise<void> | null = null;

  /** @param optimizer whose parameters are meant; the same one in all processes */
  constructor(
    optimizer: Optimizer<{ lr: number }>,
    group: Group,
    { bucketBytes = 2 ** 24 }: GradientSumOptions = {},
  ) {
    this.#group = group;
    const blocks = optimizer.groups.flatMap(({ blocks: own }) => [...own]);
    this.#buckets = group.size === 1 ? [] : blocks.reverse().flatMap((block) => split(block, bucketBytes));
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
    let next = 0;
    const ready = (leaf: Tensor): void => {
      const bucket = this.#bucketOf.get(leaf);
      if (bucket?.sum) throw late(bucket, leaf);
      bucket?.missing.delete(leaf);
      // In one order in all processes, whichever is complete first.
      while (this.#buckets[next]?.missing.size === 0) this.#exchange(this.#buckets[next++]);
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
    for (const bucket of this.#buckets) if (!bucket.sum) this.#exchange(bucket);
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
    this.#agreed ??= this.#agree();
    bucket.isComplete = trained(bucket).every(({ tensor }) => tensor.grad);
    const values = Promise.all([read(bucket), this.#agreed]).then(([own]) => own);
    const sum = this.#group.allReduce(values);
    bucket.sum = bucket.isComplete ? sum.then((all) => write(bucket, all)) : sum;
    bucket.sum.catch(() => {}); // finish() hears of it
  }

  /** Buckets of other sizes would end MPI, or mix up parameters. */
  async #agree(): Promise<void> {
    const all = await this.#group.allGather(this.#buckets.map(({ size }) => size));
    const other = all.findIndex((sizes) => sizes.join() !== all[0].join());
    if (other < 0) return;
    throw new PaellaError('argument', `gradients of rank ${other} lie otherwise than those of rank 0`, {
      fix: 'Give all processes the same parameters, and adapters of one kind.',
    });
  }
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
  noGrad(() => scope(() => device.part(block.gradient, start, [size]).assign(device.tensor(values, [size]))));
  return values;
}
