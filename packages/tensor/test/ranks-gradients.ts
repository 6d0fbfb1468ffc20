/** Gradients of several processes, added up in every way, by the processes of `together.node.test.ts`. */
import { checkpoint } from '../src/autograd/checkpoint.js';
import { Device } from '../src/device/device.js';
import { GradientSum, type Group, alone, firstDifference } from '../src/distributed/index.js';
import { PaellaError } from '../src/errors.js';
import { AdamW } from '../src/optim/adamw.js';
import { scope } from '../src/scope.js';
import type { Tensor } from '../src/tensor.js';

/** Of many sizes; the second one is frozen. */
const SIZES = [5, 64, 1000, 3, 4096, 17, 256, 2];
const FROZEN = 1;

interface Scenario {
  /** Backward passes before each exchange. */
  passes: number;
  bucketBytes?: number;
  dtype?: 'f16';
  /** Whether a parameter has no part in a pass of a process. */
  isLeftOut: (parameter: number, rank: number, pass: number) => boolean;
}

const scenarios: Record<string, Scenario> = {
  'one bucket': { passes: 1, isLeftOut: () => false },
  'half precision': { passes: 1, bucketBytes: 4096, dtype: 'f16', isLeftOut: () => false },
  'a bucket a parameter': { passes: 1, bucketBytes: 1, isLeftOut: () => false },
  'gradients that some lack': {
    passes: 1,
    bucketBytes: 4096,
    isLeftOut: (parameter, rank) => parameter === 3 || (parameter === 6 && rank === 1),
  },
  accumulation: {
    passes: 3,
    bucketBytes: 2048,
    isLeftOut: (parameter, rank, pass) => (parameter + rank + pass) % 3 === 0 || parameter === 0,
  },
};

/** Numbers between 0.5 and 1.5: sums of gradients don't cancel out, so that relative errors say something. */
const noise = (length: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => 1 + 0.5 * Math.sin(12.9898 * i + 78.233 * seed));

export async function gradients(group: Group) {
  const device = await Device.create();
  const params = SIZES.map((size, i) => device.tensor(noise(size, i), [size], { requiresGrad: true }).keep());
  const optimizer = new AdamW(params, { lr: 0.01 });
  params[FROZEN].requiresGrad = false;

  /** Computes the gradients of a process, whichever this one is. */
  const backward = (
    rank: number,
    { passes, isLeftOut }: Scenario,
    last: (pass: () => void) => void,
  ): void => {
    for (let pass = 0; pass < passes; pass++) {
      const run = (): void => {
        const losses = params.flatMap((param, i) => {
          if (i === FROZEN || isLeftOut(i, rank, pass)) return [];
          return [
            param
              .mul(param)
              .mul(device.tensor(noise(param.size, 100 * rank + 10 * pass + i)))
              .sum(),
          ];
        });
        losses.reduce((a, b) => a.add(b)).backward();
      };
      scope(() => (pass === passes - 1 ? last(run) : run()));
    }
  };
  const takeGradients = async (): Promise<(Float32Array | null)[]> => {
    const all = await Promise.all(
      params.map(async ({ grad }) => (grad ? ((await grad.data()) as Float32Array) : null)),
    );
    optimizer.zeroGrad();
    return all;
  };

  const report: Record<
    string,
    { isRepeated: boolean; early: number; lacking: number[]; error: number; isNaive: boolean }
  > = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
    const own: (Float32Array | null)[][] = [];
    for (let rank = 0; rank < group.size; rank++) {
      backward(rank, scenario, (run) => run());
      own.push(await takeGradients());
    }
    let exchanges = 0;
    const counting: Group = {
      ...alone,
      size: group.size,
      allGather: (value) => group.allGather(value),
      allReduce(values, op) {
        exchanges++;
        return group.allReduce(values, op);
      },
    };
    const sum = new GradientSum(optimizer, counting, scenario);
    // The first pass finds the order.
    backward(group.rank, scenario, (run) => sum.during(run));
    await sum.finish();
    const first = await takeGradients();
    exchanges = 0;
    backward(group.rank, scenario, (run) => sum.during(run));
    const early = exchanges;
    await sum.finish();
    const got = await takeGradients();
    report[name] = {
      isRepeated: got.every((gradient, i) => String(gradient) === String(first[i])),
      early,
      lacking: got.flatMap((gradient, i) => (gradient ? [] : [i])),
      error: Math.max(
        ...got.map((gradient, i) =>
          errorOf(
            gradient,
            own.map((all) => all[i]),
          ),
        ),
      ),
      isNaive: await isNaiveSum(group, own[group.rank], got),
    };
  }

  const twice = await useInTwoCheckpoints(group, params[2]);
  optimizer.zeroGrad();

  const sum = new GradientSum(optimizer, group, { bucketBytes: 4096 });
  for (let step = 0; step < 4; step++) {
    backward(group.rank, { passes: 1, isLeftOut: (i, rank) => i === rank + step }, (run) => sum.during(run));
    await sum.finish();
    optimizer.step();
    optimizer.zeroGrad();
  }
  const afterSteps = await firstDifference(group, optimizer);
  if (group.rank === 1) for (const i of [4, 6]) await flipLastBit(params[i]);
  const afterFlip = await firstDifference(group, optimizer);
  const [weight] = await params[0].data();
  await group.finalize();
  device.destroy();
  return { scenarios: report, isMoved: weight !== noise(1, 0)[0], afterSteps, afterFlip, twice };
}

export type Gradients = Awaited<ReturnType<typeof gradients>>;

/** What becomes of a parameter whose gradient comes in two parts in one pass. */
async function useInTwoCheckpoints(group: Group, given: Tensor) {
  const param = given.device.tensor(await given.data(), given.shape, {
    requiresGrad: true,
  });
  const optimizer = new AdamW([param], { lr: 0.01 });
  const loss = (): Tensor => {
    const half = (input: Tensor): Tensor => checkpoint((x) => x.mul(param), [input]);
    return half(half(param)).sum();
  };
  const early = new GradientSum(optimizer, group);
  let code = 'none';
  try {
    scope(() => early.during(() => loss().backward()));
  } catch (error) {
    if (error instanceof PaellaError) ({ code } = error);
  }
  optimizer.zeroGrad();
  const sum = new GradientSum(optimizer, group);
  scope(() => loss().backward());
  await sum.finish();
  const [[weight], [gradient]] = await Promise.all([param.data(), param.grad!.data()]);
  return { code, ratio: gradient / (3 * weight ** 2) };
}

/** The largest relative error of a sum of the gradients that processes have by themselves. */
function errorOf(got: Float32Array | null, parts: (Float32Array | null)[]): number {
  if (!got) return parts.some((part) => part) ? Infinity : 0;
  const errors = Array.from(got, (value, i) => {
    const want = parts.reduce((total, part) => total + (part?.[i] ?? 0), 0);
    return Math.abs(value - want) / want;
  });
  return Math.max(...errors);
}

/** Whether one exchange of everything, when all is there, has the same bits. */
async function isNaiveSum(
  group: Group,
  own: (Float32Array | null)[],
  got: (Float32Array | null)[],
): Promise<boolean> {
  const flat = (all: (Float32Array | null)[]): number[] =>
    all.flatMap((gradient, i) => [...(gradient ?? new Float32Array(SIZES[i]))]);
  const naive = await group.allReduce(Float32Array.from(flat(own)));
  return flat(got).every((value, i) => Object.is(value, naive[i]));
}

async function flipLastBit(tensor: Tensor): Promise<void> {
  const values = (await tensor.data()) as Float32Array;
  new Uint32Array(values.buffer)[1] ^= 1;
  scope(() => tensor.assign(tensor.device.tensor(values, tensor.shape)));
}
