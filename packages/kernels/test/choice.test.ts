/** Which variant planners choose, by what an adapter reports. */
import { describe, expect, it } from 'vitest';
import {
  type Capabilities,
  type MatmulShape,
  planConv2d,
  planConvTranspose2d,
  planConvWeightGrad,
  planCrossEntropy,
  planMatmul,
  planMatmulTN,
  planReduce,
  planRowNorm,
  planSoftmax,
} from '../src/index.js';

const gpu: Capabilities = {
  isSoftware: false,
  maxWorkgroupsPerDimension: 65535,
  subgroups: false,
  subgroupSize: 0,
  matrixSubgroup: 0,
};
const withSubgroups = { ...gpu, subgroups: true, subgroupSize: 32 };
const withMatrices = { ...withSubgroups, matrixSubgroup: 32 };
const software = { ...gpu, isSoftware: true };

const shape = (m: number, k: number, n: number, batch = 1): MatmulShape => ({ batch, m, k, n });
const named = ({ launch, split }: ReturnType<typeof planMatmul>): string => {
  const { name } = launch.kernel;
  const tall = name.startsWith('matmul_shared') && launch.constants.WG === 128;
  return `${name}${tall ? ' tall' : ''}${split ? ' split' : ''}`;
};

describe('a matrix product', () => {
  it.each([
    // Enough tiles for every core, or not; a long contraction with few outputs; sizes without vec4s.
    ['matmul_shared tall', shape(4096, 1280, 5120)],
    ['matmul_shared', shape(1024, 320, 1280)],
    ['matmul_shared', shape(64, 128, 256, 64)],
    ['matmul_shared split', shape(64, 5120, 1280)],
    ['matmul_shared split', shape(1, 1280, 320)],
    ['matmul_naive', shape(64, 30, 64)],
    ['matmul_naive', shape(64, 64, 3)],
  ])('takes %s on a GPU', (name, sizes) => {
    expect(named(planMatmul(sizes, {}, gpu))).toBe(name);
    // Subgroups alone change nothing.
    expect(named(planMatmul(sizes, {}, withSubgroups))).toBe(name);
  });

  it('stages weights that are transposed or in halves as well', () => {
    expect(named(planMatmul(shape(1024, 320, 1280), { weight: 'f16' }, gpu))).toBe('matmul_shared_f16');
    const transposed = planMatmul(shape(1024, 320, 1280), { transposeB: true }, gpu);
    expect(named(transposed)).toBe('matmul_shared');
    expect(transposed.launch.constants).toMatchObject({ A_STEPS: 0, B_STEPS: 0 });
    const gradient = planMatmulTN(shape(320, 4096, 1280), {}, gpu);
    expect(gradient.launch.kernel.name).toBe('matmul_shared');
    expect(gradient.launch.constants).toMatchObject({ A_STEPS: 1, B_STEPS: 1 });
  });

  it('takes subgroup matrices where the adapter has them and tiles are whole', () => {
    expect(named(planMatmul(shape(1024, 320, 1280), {}, withMatrices))).toBe('matmul_matrix');
    expect(named(planMatmul(shape(1000, 320, 1280), {}, withMatrices))).toBe('matmul_shared');
    expect(named(planMatmul(shape(1024, 320, 1280), { weight: 'f16' }, withMatrices))).toMatch(/shared/);
    expect(named(planMatmul(shape(1024, 320, 1280), { transposeB: true }, withMatrices))).toMatch(/shared/);
    // Largest subgroups of 8, 32, 64 and 128: whole ones, four if they fit.
    const sizes = [8, 32, 64, 128].map(
      (matrixSubgroup) =>
        planMatmul(shape(64, 64, 64), {}, { ...withMatrices, matrixSubgroup }).launch.constants.WG,
    );
    expect(sizes).toEqual([32, 128, 256, 256]);
  });

  it('has none of these on a software adapter', () => {
    for (const sizes of [shape(4096, 1280, 5120), shape(64, 5120, 1280)]) {
      expect(named(planMatmul(sizes, {}, software))).toBe('matmul_nn_f32');
      expect(planMatmulTN(sizes, {}, software).launch.kernel.name).toBe('matmul_tn');
    }
  });

  it('is split so that pieces are whole stages and cover the contraction', () => {
    for (const k of [512, 516, 1280, 5120, 10_000]) {
      const { launch, split } = planMatmul(shape(8, k, 64), {}, gpu);
      const [chunk] = launch.params.slice(launch.kernel.fields.get('chunk')!.offset);
      expect(chunk % 16).toBe(0);
      expect(chunk * split!.chunks).toBeGreaterThanOrEqual(k);
      expect(chunk * (split!.chunks - 1)).toBeLessThan(k);
      expect(launch.workgroups[2]).toBe(split!.chunks);
    }
  });

  it('is what measurements say where there are any', () => {
    const asked: [string, readonly string[]][] = [];
    const choose = (key: string, candidates: readonly string[]) => {
      asked.push([key, candidates]);
      return 'tile';
    };
    expect(named(planMatmul(shape(64, 5120, 1280), {}, { ...gpu, choose }))).toBe('matmul_nn_f32');
    expect(asked).toEqual([['matmul nn f32 1×64×4096×1024', ['split', 'shared', 'tall', 'tile']]]);
  });
});

describe('a dense convolution', () => {
  const square = (height: number, channels: number) => ({
    batch: 1,
    height,
    width: height,
    channels,
    outChannels: channels,
    kernelHeight: 4,
    kernelWidth: 4,
    stride: 2,
    padding: 1,
    groups: 1,
  });

  it('is staged in workgroup memory on a GPU, unless it would fill a corner of a tile', () => {
    for (const plan of [planConv2d, planConvTranspose2d]) {
      expect(plan(square(32, 128), {}, gpu).kernel.name).toBe('conv_shared');
      expect(plan(square(32, 8), {}, gpu).kernel.name).toBe('conv');
      expect(plan(square(4, 128), {}, gpu).kernel.name).toBe('conv');
      expect(plan(square(32, 6), {}, gpu).kernel.name).toMatch(/naive/);
      expect(plan(square(32, 128), {}, software).kernel.name).toBe('conv');
    }
    const gradient = (channels: number, caps: Capabilities) =>
      planConvWeightGrad(square(32, channels), { replicate: false }, caps).launch.kernel.name;
    expect(gradient(128, gpu)).toBe('conv_weight_grad_shared');
    expect(gradient(8, gpu)).toBe('conv_weight_grad');
    expect(gradient(128, software)).toBe('conv_weight_grad');
  });
});

describe('a row', () => {
  const rows = { outer: 64, length: 1024, inner: 1 };
  const norm = { center: true, eps: 1e-6, weights: 0, biases: 0 };
  const plans: [string, (caps: Capabilities) => ReturnType<typeof planSoftmax>][] = [
    ['softmax_rows', (caps) => planSoftmax(rows, {}, caps)],
    ['reduce_rows', (caps) => planReduce('sum', { ...rows, outer: 8192 }, {}, caps)[0].launch],
    ['row_norm', (caps) => planRowNorm(64, 1024, norm, caps)],
    ['cross_entropy_rows', (caps) => planCrossEntropy(64, 1024, { smoothing: 0, gradient: false }, caps)],
  ];

  it.each(plans)(
    'of %s is shared by a workgroup on a GPU, by subgroups where there are some, and by one of equal ones on a processor',
    (name, plan) => {
      const { WG } = plan(gpu).constants;
      expect(plan(gpu)).toMatchObject({ kernel: { name: `${name}_team` }, constants: { TEAM: WG } });
      expect(plan(withSubgroups)).toMatchObject({
        kernel: { name: `${name}_subgroups` },
        constants: { TEAM: WG },
      });
      const onProcessor = { ...software, subgroups: true };
      for (const caps of [software, onProcessor]) {
        expect(plan(caps)).toMatchObject({ kernel: { name }, constants: { TEAM: 1 } });
      }
      expect(plan({ ...onProcessor, subgroupSize: 8 })).toMatchObject({
        kernel: { name: `${name}_one_subgroup` },
        constants: { TEAM: 8 },
      });
    },
  );

  it('that is short belongs to one invocation', () => {
    const short = planSoftmax({ outer: 4096, length: 16, inner: 1 }, {}, withSubgroups);
    expect(short).toMatchObject({ kernel: { name: 'softmax_rows' }, constants: { TEAM: 1 } });
  });
});
