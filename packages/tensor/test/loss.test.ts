import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Device, type Tensor, ops, scope } from '../src/index.js';
import {
  expectClose,
  expectError,
  golden,
  noise,
  permuted,
  NCHW_TO_NHWC,
  teamForces,
  testDevice,
  upload,
} from './helpers.js';

function reference(logits: ArrayLike<number>, target: ArrayLike<number>, classes: number, smoothing: number) {
  return Float64Array.from(target, (label, row) => {
    const x = Array.from({ length: classes }, (_, k) => logits[row * classes + k]);
    const peak = Math.max(...x);
    const lse = peak + Math.log(x.reduce((sum, v) => sum + Math.exp(v - peak), 0));
    const mean = x.reduce((sum, v) => sum + v, 0) / classes;
    return lse - (1 - smoothing) * x[label] - smoothing * mean;
  });
}

describe('crossEntropy', () => {
  it("matches Paella's weighted, smoothed cross-entropy", (context) =>
    scope(async () => {
      const device = await testDevice();
      const file = await golden('ops');
      const name = 'weighted_cross_entropy';
      const logits = upload(device, permuted(file.get(`${name}/logits`), NCHW_TO_NHWC));
      logits.requiresGrad = true;
      const unsigned = (key: string) => {
        const { data, shape } = file.get(`${name}/${key}`);
        return device.tensor(Uint32Array.from(data), shape);
      };
      const losses = ops.crossEntropy(logits, unsigned('target'), { labelSmoothing: 0.1 });
      // Weight 1 for replaced tokens, 0.3 + 0.7·t for kept ones; mean within a sample, then over samples.
      const t = upload(device, file.get(`${name}/t`)).reshape([2, 1, 1]);
      const kept = unsigned('mask').to('f32').neg().add(1);
      const weight = kept.mul(t.neg().add(1)).mul(-0.7).add(1);
      const loss = losses
        .mul(weight)
        .sum([1, 2])
        .div(weight.sum([1, 2]))
        .mean();
      await expectClose(loss, file.get(`${name}/output`), { context });
      loss.backward(upload(device, file.get(`${name}/grad_output`)));
      const expected = permuted(file.get(`${name}/grad_logits`), NCHW_TO_NHWC);
      await expectClose(logits.grad!, expected, { context, tolerance: 1e-6 });

      // The same as a fused loss, after a layer that changes nothing.
      const classes = logits.shape[3];
      const one = device.tensor(
        Float32Array.from({ length: classes ** 2 }, (_, i) => Number(i % (classes + 1) === 0)),
        [classes, classes],
      );
      const h = logits.detach();
      h.requiresGrad = true;
      const fused = ops.linearCrossEntropy(h, one, unsigned('target'), {
        rowWeights: weight.div(weight.sum([1, 2], { keepdim: true })).div(2),
        labelSmoothing: 0.1,
        chunkRows: 7,
      });
      await expectClose(fused.loss, file.get(`${name}/output`), { context });
      fused.loss.backward(upload(device, file.get(`${name}/grad_output`)));
      await expectClose(h.grad!, expected, { context, tolerance: 1e-6 });
    }));

  it('agrees with float64 on any shape, also for large logits', async () => {
    const device = await testDevice();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 70 }),
        fc.constantFrom(1, 3, 4, 5, 128, 130, 1024),
        fc.constantFrom(0, 0.1, 1),
        fc.constantFrom(1, 60),
        fc.constantFrom(...teamForces(device)),
        (rows, classes, labelSmoothing, scale, force) =>
          scope(async () => {
            const logits = noise([rows, classes], rows + classes, scale);
            const target = Uint32Array.from({ length: rows }, (_, i) => (i * 7 + 3) % classes);
            const out = ops.crossEntropy(upload(device, logits), device.tensor(target), {
              labelSmoothing,
              force,
            });
            const data = reference(logits.data, target, classes, labelSmoothing);
            // One class has no loss at all, and nothing to be relative to.
            if (classes === 1)
              (await out.data()).forEach((loss) => expect(Math.abs(loss)).toBeLessThan(1e-5));
            else await expectClose(out, { shape: [rows], data }, { tolerance: 1e-5 });
          }),
      ),
      { numRuns: 40 },
    );
  });

  it('says what does not fit', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const logits = device.empty([2, 3, 5]);
    expect(() => ops.crossEntropy(logits, device.empty([2, 4], 'u32'))).toThrow(
      /expects logits \[...,classes\]/,
    );
    expect(() => ops.crossEntropy(logits, device.empty([2, 3]))).toThrow(/must be u32/);
    const target = device.empty([2, 3], 'u32');
    expect(() => ops.crossEntropy(logits, target, { labelSmoothing: 2 })).toThrow(/labelSmoothing/);
    const fused = (weight: number[], labels: Tensor, options = {}) => {
      return () => ops.linearCrossEntropy(logits, device.empty(weight), labels, options);
    };
    expect(fused([5, 7], target)).not.toThrow();
    expectError(fused([4, 7], target), 'shape', /expects h \[...,c\]/);
    expectError(fused([5, 7], target.reshape([3, 2])), 'shape', /target \[...\]/);
    expectError(fused([5, 0], target), 'shape', /weight \[c,classes\]/);
    const rowWeights = device.empty([6]);
    expectError(fused([5, 7], target, { rowWeights }), 'shape', /rowWeights of the shape of target/);
    expectError(fused([5, 7], target, { labelSmoothing: NaN }), 'argument', /labelSmoothing/);
    expectError(fused([5, 7], device.empty([2, 3])), 'dtype', /target must be u32/);
  });
});
