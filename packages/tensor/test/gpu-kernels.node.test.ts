/** The kernel of subgroup matrices without a GPU: what Dawn says of its text, and what it computes with arrays for matrices. */
import { type Kernel, type Launch, defineKernel, planMatmul } from '@paella/kernels';
import { describe, expect, it } from 'vitest';
import { create } from 'webgpu';
import { scope } from '../src/index.js';
import { noise, relativeError, testDevice, upload } from './helpers.js';

const device = await testDevice();
const caps = { ...device.capabilities, isSoftware: false, matrixSubgroup: 32 };

describe('matmul matrix', () => {
  /** The kernel with an array for every matrix, and each of its operations done by every invocation alone. */
  function emulated({ name, source }: Kernel): Kernel {
    const plain = source
      .replace('enable chromium_experimental_subgroup_matrix;', '')
      .replace(/subgroup_matrix_\w+<f32, 8, 8>/g, 'array<f32, 64>')
      .replace(/subgroupMatrixLoad<\w+, row_major>\(&(\w+), /g, 'load_$1(')
      .replaceAll('subgroupMatrixStore<row_major>(&out, ', 'store_out(')
      .replaceAll('subgroupMatrixMultiplyAccumulate(', 'multiply_add(');
    expect(plain).not.toMatch(/subgroup_?matrix/i);
    return defineKernel(
      `${name}_emulated`,
      plain,
      ...['a', 'b'].map(
        (operand) => `fn load_${operand}(i: u32, stride: u32) -> array<f32, 64> {
          var m: array<f32, 64>;
          for (var e = 0u; e < 64u; e++) { m[e] = ${operand}[i + e / 8u * stride + e % 8u]; }
          return m;
        }`,
      ),
      `fn store_out(i: u32, m: array<f32, 64>, stride: u32) {
        for (var e = 0u; e < 64u; e++) { out[i + e / 8u * stride + e % 8u] = m[e]; }
      }
      fn multiply_add(x: array<f32, 64>, y: array<f32, 64>, z: array<f32, 64>) -> array<f32, 64> {
        var m = z;
        for (var e = 0u; e < 64u; e++) {
          for (var k = 0u; k < 8u; k++) { m[e] += x[e / 8u * 8u + k] * y[8u * k + e % 8u]; }
        }
        return m;
      }`,
    );
  }

  it('is accepted by Dawn, whose null backend has every feature', async () => {
    // Reachable until the process ends, as every instance of Dawn must be.
    const dawn = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
    Object.assign(globalThis, { [Symbol.for('paella.test.null-dawn')]: dawn });
    const adapter = await dawn.requestAdapter();
    const requiredFeatures = ['subgroups', 'chromium-experimental-subgroup-matrix'] as GPUFeatureName[];
    const validator = await adapter!.requestDevice({ requiredFeatures });
    const { kernel } = planMatmul({ batch: 1, m: 64, k: 64, n: 64 }, {}, caps).launch;
    expect(kernel.name).toBe('matmul_matrix');
    const module = validator.createShaderModule({ code: kernel.source });
    expect((await module.getCompilationInfo()).messages).toEqual([]);
    validator.destroy();
  });

  // Fewer subgroups than quarters of a tile, as many, and more, whatever their size.
  it.each([4, 16, 64])('has the right tiles and epilogue, its matrices emulated, by %i invocations', (WG) =>
    scope(async () => {
      expect(device.capabilities.subgroups).toBe(true);
      const [batch, m, k, n] = [2, 128, 40, 64];
      const options = { bias: true, activation: 'gelu', residual: true } as const;
      const a = upload(device, noise([batch, m, k], 1));
      const b = upload(device, noise([batch, k, n], 2));
      const bias = upload(device, noise([n], 3));
      const residual = upload(device, noise([batch, m, n], 4));
      const run = (launch: Launch) => {
        const out = device.empty([batch, m, n]);
        device.run(launch, [a, b, bias, residual, out]);
        return out.data();
      };
      const shape = { batch, m, k, n };
      const { launch } = planMatmul(shape, { ...options, force: 'matrix' }, caps);
      const out = await run({ ...launch, kernel: emulated(launch.kernel), constants: { WG } });
      const naive = planMatmul(shape, { ...options, force: 'naive' }, caps).launch;
      expect(relativeError(out, await run(naive))).toBeLessThan(1e-6);
    }),
  );
});
